"""The command `onnxlet`, as a user runs it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_REPAIR_BYTES
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli import output
from onnxlet_cli.main import app
from onnxlet_publishing.publish import publish_all
from tests.conftest import BUCKET
from tests.helpers import graphs, keys
from tests.helpers.damage import resealed

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def onnxlet_environment() -> dict[str, str]:
    """An environment with no AWS credentials of the machine's."""
    hidden = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ONNXLET_"))}
    return {**kept, **hidden, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200"}


@pytest.fixture
def onnxlet(tmp_path: Path, onnxlet_environment: dict[str, str]) -> Command:
    """Run the command in an empty folder."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "onnxlet_cli.main", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env={**onnxlet_environment, **more}, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one line that holds these words."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def write_classifier(path: Path, op_type: str = "MatMul") -> Path:
    weights = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node(op_type, ["flat", "w"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 4, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_brought_model_is_published_moved_and_listed(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "Shapes.onnx")
    assert onnxlet("publish", "Shapes.onnx").stdout == "shapes version 1 is live\n"
    assert onnxlet("publish", "Shapes.onnx", "--stage").stdout == "shapes version 2 staged\n"
    (listed,) = json.loads(onnxlet("models", "--json").stdout)
    assert (listed["model"], listed["live"], listed["versions"]) == ("shapes", 1, [1, 2])
    assert json.loads(onnxlet("promote", "shapes", "2", "--json").stdout)["version"] == 2
    assert onnxlet("rollback", "shapes").stdout == "shapes version 1 is live\n"
    fails(onnxlet("rollback", "shapes"), "nothing to roll back to")
    table = onnxlet("models", "shapes").stdout
    head = ["version", "live", "share", "created", "source", "signed", "crashes", "metrics"]
    assert table.splitlines()[0].split() == head
    assert "Shapes.onnx" in table


def test_a_version_that_may_end_the_process_is_listed_with_the_operator(onnxlet: Command, tmp_path: Path) -> None:
    onnx.save(graphs.dies_on_zero(), tmp_path / "fragile.onnx")
    assert "warning" not in onnxlet("publish", str(tmp_path / "fragile.onnx")).stdout
    (row,) = json.loads(onnxlet("models", "fragile", "--json").stdout)
    assert row["crashes"] == ["Div"]


def test_a_signed_version_is_listed_with_its_publisher(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    keys.write(tmp_path)
    said = onnxlet("publish", "shapes.onnx", "--sign", "key-1.pem").stdout
    assert said == f"shapes version 1 is live, signed by {keys.text(1)}\n"
    onnxlet("publish", "shapes.onnx")
    onnxlet("promote", "shapes", "1")
    rows = json.loads(onnxlet("models", "shapes", "--json").stdout)
    assert [row["signed"] for row in rows] == [None, keys.text(1)]
    path = tmp_path / ".onnxlet/registry/models/shapes/versions/1.json"
    path.write_bytes(resealed(json.loads(path.read_text().replace('"fp32"', '"fp16"'))))
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[1]["signed"] == "invalid"
    (tmp_path / "no.pem").write_text("no key")
    for key, expected in (("no.pem", "expected an Ed25519 private key"), ("gone.pem", "No such file")):
        fails(onnxlet("publish", "shapes.onnx", "--sign", key), f"--sign {key}", expected)
    fails(onnxlet("train", "digits", "--on", "vertex", "--sign", "key-1.pem"), "--sign", "private key stays here")


def test_a_version_gets_a_share_and_loses_it(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    for _ in range(2):
        onnxlet("publish", "shapes.onnx", "--stage")
    onnxlet("promote", "shapes", "1")
    assert onnxlet("canary", "shapes", "2", "--weight", "25%").stdout == (
        "shapes version 2 is the canary of 0.25 of the requests\n"
    )
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] == "canary 0.25"
    assert json.loads(onnxlet("shadow", "shapes", "2", "--json").stdout)["shadow"] == 1.0
    assert onnxlet("canary", "shapes", "2", "--weight", "0").stdout == "shapes has no canary any more\n"
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] == "shadow 1"
    onnxlet("promote", "shapes", "2")
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] is None
    fails(onnxlet("canary", "shapes", "1", "--weight", "much"), "--weight much", "10% or 0.1")
    fails(onnxlet("canary", "shapes", "1", "--weight", "150%"), "from 0 to 1")
    fails(onnxlet("canary", "shapes", "2"), "version 2 is what")
    fails(onnxlet("canary", "shapes", "9"), "no version 9")


def test_images_get_labels_and_tensors_get_tensors(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    (tmp_path / "labels.txt").write_text("circle\nsquare\n")
    (tmp_path / "preprocess.json").write_text('{"height": 4, "width": 4, "channels": 1}')
    Image.new("L", (10, 12), 200).save(tmp_path / "grey.png")
    onnxlet("publish", "shapes.onnx", "--labels", "labels.txt", "--preprocess", "preprocess.json")
    answer = json.loads(onnxlet("predict", "shapes", "grey.png", "--json").stdout)
    (prediction,) = answer["predictions"]
    assert prediction["label"] in {"circle", "square"}
    assert sum(entry["probability"] for entry in prediction["top"]) == pytest.approx(1)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4, 4, 1], "data": [0.5] * 16}
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [tensor]}))
    answer = json.loads(onnxlet("predict", "shapes", "request.json").stdout)
    assert answer["outputs"][0]["shape"] == [1, 2]


class TestPredict:
    """All that /predict takes over HTTP, in this process."""

    @pytest.fixture
    def predict(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        monkeypatch.chdir(tmp_path)
        path = write_classifier(tmp_path / "shapes.onnx")
        (tmp_path / "labels.txt").write_text("circle\nsquare\n")
        (tmp_path / "preprocess.json").write_text('{"height": 4, "width": 4, "channels": 1}')
        publish = ["publish", str(path), "--registry", "registry"]
        for more in (["--name", "rows", "--labels", "labels.txt"], ["--name", "raw"], ["--name", "raw"]):
            assert CliRunner().invoke(app, [*publish, *more]).exit_code == 0
        pictures = ["--name", "pictures", "--preprocess", "preprocess.json"]
        assert CliRunner().invoke(app, [*publish, *pictures]).exit_code == 0
        Image.new("L", (10, 12), 200).save(tmp_path / "grey.png")

        def run(*arguments: str, stdin: bytes = b"") -> Result:
            return CliRunner().invoke(app, ["predict", *arguments, "--registry", "registry"], input=stdin)

        return run

    ROW = [[[0.5]] * 4] * 4

    @pytest.mark.parametrize("document", [[ROW, ROW], {"instances": [{"x": ROW}, {"x": ROW}]}])
    def test_rows_of_json_get_labels(self, predict: Callable[..., Result], tmp_path: Path, document: object) -> None:
        (tmp_path / "rows.json").write_text(json.dumps(document))
        done = predict("rows", "rows.json")
        assert done.exit_code == 0, done.output
        name, *lines = done.stdout.splitlines()
        assert name == "rows version 1"
        assert len(lines) == 4, "two labels for each row"
        assert {line.split()[0] for line in lines} == {"circle", "square"}

    def test_a_model_without_labels_gives_the_values_of_its_outputs(self, predict: Callable[..., Result]) -> None:
        done = predict("pictures", "grey.png")
        assert done.exit_code == 0, done.output
        name, line = done.stdout.splitlines()
        assert name == "pictures version 1"
        assert len(json.loads(line)) == 2
        assert json.loads(predict("pictures", "grey.png", "--json").stdout)["predictions"] == [json.loads(line)]

    def test_the_standard_input_is_a_file_too(self, predict: Callable[..., Result], tmp_path: Path) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4, 4, 1], "data": [0.5] * 16}
        for model, body in (
            ("pictures", (tmp_path / "grey.png").read_bytes()),
            ("rows", json.dumps([self.ROW]).encode()),
            ("rows", json.dumps({"inputs": [tensor]}).encode()),
        ):
            done = predict(model, "-", stdin=body)
            assert done.exit_code == 0, done.output

    def test_a_version_may_be_named_by_its_number(self, predict: Callable[..., Result], tmp_path: Path) -> None:
        (tmp_path / "rows.json").write_text(json.dumps([self.ROW]))
        for reference, version in (("raw", 2), ("raw@live", 2), ("raw@1", 1), ("raw@2", 2)):
            assert predict(reference, "rows.json").stdout.startswith(f"raw version {version}\n")
        assert "no version 3" in str(predict("raw@3", "rows.json").exception)

    def test_many_values_are_counted_and_not_printed(self) -> None:
        assert output.prediction_lines([[[0.0] * 300] * 200]) == ["1 x 200 x 300 values; --json prints them"]
        assert output.prediction_lines({"a": [1.0, 2.0], "b": [[0] * 40]}) == [
            "a  [1.0, 2.0]",
            "b  1 x 40 values; --json prints them",
        ]
        assert output.prediction_lines([]) == ["[]"]


def test_an_image_and_a_row_are_explained(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    (tmp_path / "labels.txt").write_text("circle\nsquare\n")
    (tmp_path / "preprocess.json").write_text('{"height": 4, "width": 4, "channels": 1}')
    Image.new("L", (10, 12), 200).save(tmp_path / "grey.png")
    (tmp_path / "row.json").write_text(json.dumps({"x": [[[0.5]] * 4] * 4}))
    onnxlet("publish", "shapes.onnx", "--labels", "labels.txt", "--preprocess", "preprocess.json")
    onnxlet("publish", "shapes.onnx", "--name", "rows", "--labels", "labels.txt")
    told = onnxlet("explain", "shapes", "grey.png", "--budget-runs", "21").stdout.splitlines()
    assert told[0].startswith("shapes version 1: ")
    assert told[1:2] == ["Orange speaks for it, blue against it: grey.explained.png"]
    assert told[2].startswith("21 runs, ")
    assert Image.open(tmp_path / "grey.explained.png").size == (190, 228)
    answer = json.loads(
        onnxlet("explain", "shapes", "grey.png", "--target", "circle", "--out", "o.png", "--json").stdout
    )
    assert (answer["label"], answer["map"]["shape"]) == ("circle", [4, 4])
    assert (tmp_path / "o.png").exists()
    table = onnxlet("explain", "rows", "row.json").stdout
    assert table.splitlines()[1].split() == ["number", "value", "contribution"]
    assert "x[3, 3, 0]" in table
    fails(onnxlet("explain", "shapes", "grey.png", "--target", "star"), "target: expected one of circle, square")


def test_a_folder_is_published_whole_or_not_at_all(onnxlet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for name in ("a", "b"):
        write_classifier(folder / f"{name}.onnx")
    write_classifier(folder / "c.onnx", op_type="NoSuchOperator")
    fails(onnxlet("publish", "catalogue"), "NoSuchOperator")
    assert json.loads(onnxlet("models", "--json").stdout) == []
    (folder / "c.onnx").unlink()
    assert [row["model"] for row in json.loads(onnxlet("publish", "catalogue", "--json").stdout)] == ["a", "b"]


def test_bad_files_are_refused_in_one_line(onnxlet: Command, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("I am no model")
    (tmp_path / "empty").mkdir()
    whole = write_classifier(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    fails(onnxlet("publish", "text.onnx"), "text.onnx", "not an ONNX file")
    fails(onnxlet("publish", "half.onnx"), "half.onnx", "truncated")
    fails(onnxlet("publish", "missing.onnx"), "missing.onnx", "no such file")
    fails(onnxlet("publish", "empty"), "found none")
    fails(onnxlet("publish", "whole.onnx", "--name", "../up"), "'../up'", "expected 1 to 63")
    fails(onnxlet("publish", "whole.onnx", "--labels", "nope.txt"), "nope.txt")
    assert json.loads(onnxlet("models", "--json").stdout) == []


def test_bad_registries_and_names_are_refused_in_one_line(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "whole.onnx")
    fails(onnxlet("models", "--registry", "ftp://host/root"), "ftp://host/root", "s3://")
    fails(onnxlet("models", "--registry", "file:///no/such/folder"), "no such folder")
    fails(onnxlet("models", "--registry", "s3://bucket"), "s3://bucket", "no AWS credentials")
    fails(onnxlet("predict", "nope", "whole.onnx"), 'model "nope"', "not in the registry")
    fails(onnxlet("promote", "nope", "1"), 'model "nope"', "not in the registry")
    fails(onnxlet("models", "nope"), 'model "nope"')
    fails(onnxlet("train", "nope"), "recipe 'nope'", "digits")


def test_a_bucket_is_a_registry_too(onnxlet: Command, tmp_path: Path, s3_endpoint: str) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": s3_endpoint}
    more = {**credentials, "ONNXLET_REGISTRY": f"s3://{BUCKET}/{tmp_path.name}"}
    assert onnxlet("publish", "shapes.onnx", **more).stdout == "shapes version 1 is live\n"
    assert json.loads(onnxlet("models", "--json", **more).stdout)[0]["live"] == 1
    assert not (tmp_path / ".onnxlet").exists()


def test_serve_stops_what_it_started(onnxlet_environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onnxlet_cli.main", "serve", "--cloud", "aws", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=onnxlet_environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        with urllib.request.urlopen(f"{url}/v2") as reply:
            assert json.load(reply)["name"] == "onnxlet"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        process.terminate()
        assert process.wait(20) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_serve_refuses_to_start_without_its_model(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    onnxlet("publish", "shapes.onnx")
    fails(onnxlet("serve", "--model", "nosuch", "--port", "0"), 'model "nosuch"', "not in the registry")
    fails(onnxlet("serve", "--port", "0", ONNXLET_MODEL="nosuch"), 'model "nosuch"')


@pytest.mark.parametrize("results", ["kept/results", "absolute", "file"])
def test_served_functions_write_results_into_a_folder(
    onnxlet: Command, onnxlet_environment: dict[str, str], tmp_path: Path, results: str
) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    onnxlet("publish", "shapes.onnx")
    places = {"absolute": str(tmp_path / "kept/results"), "file": (tmp_path / "kept/results").as_uri()}
    place = places.get(results, results)
    environment = {**onnxlet_environment, "ONNXLET_RESULTS": place, "ONNXLET_CAPTURE": "1"}
    command = [sys.executable, "-m", "onnxlet_cli.main", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        row = json.dumps([[[[0.5]] * 4] * 4]).encode()
        request = urllib.request.Request(f"{url}/predict/shapes", row, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 200
        process.terminate()
        assert process.wait(20) == 0
    assert [path for path in (tmp_path / "kept/results").rglob("*") if path.is_file()]


def test_results_that_cannot_be_written_are_refused_before_anything_is_served(onnxlet: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file/results", "ftp://host/results"):
        fails(onnxlet("serve", "--port", "0", ONNXLET_RESULTS=place), place)


def test_a_missing_bucket_is_named(onnxlet: Command, tmp_path: Path, s3_endpoint: str) -> None:
    write_classifier(tmp_path / "whole.onnx")
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": s3_endpoint}
    registry = ("--registry", "s3://no-such-bucket/models")
    fails(onnxlet("publish", "whole.onnx", *registry, **credentials), "no-such-bucket", "no such bucket")
    fails(onnxlet("models", *registry, **credentials), "no-such-bucket", "no such bucket")


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "an alias that is no JSON": ("aliases/live.json", lambda path: path.write_bytes(b"{"), "expected JSON"),
    "an alias with a wrong bit": (
        "aliases/live.json",
        lambda path: path.write_bytes(path.read_bytes().replace(b'"live"', b'"lhve"')),
        "expected content with the SHA-256",
    ),
    "an alias of another schema": ("aliases/live.json", lambda path: path.write_bytes(b'{"schema": 9}'), "schema"),
    "an alias that is too large": (
        "aliases/live.json",
        lambda path: path.write_bytes(path.read_bytes().ljust(MAX_REPAIR_BYTES + 1)),
        f"expected at most {MAX_REPAIR_BYTES} bytes",
    ),
    "a manifest that is missing": ("versions/2.json", Path.unlink, "version 2"),
    "a manifest that is empty": ("versions/2.json", lambda path: path.write_bytes(b""), "expected JSON"),
    "a manifest that is too large": (
        "versions/2.json",
        lambda path: path.write_bytes(path.read_bytes().ljust(MAX_DOCUMENT_BYTES + 1)),
        f"expected at most {MAX_DOCUMENT_BYTES} bytes",
    ),
}


@pytest.mark.parametrize(("key", "damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_document_is_named_and_all_others_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, damage: Callable[[Path], object], words: str
) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    for name in ("ant", "bee", "cow"):
        publish_all(registry, [graphs.candidate(name, graphs.sums()) for _ in range(2)])
    damage(tmp_path / "models/bee" / key)
    said = run_here(capsys, "models", "--json", "--registry", str(tmp_path))
    assert [(row["model"], row["versions"]) for row in said.rows if row["model"] != "bee"] == [
        ("ant", [1, 2]),
        ("cow", [1, 2]),
    ]
    assert [row["model"] for row in said.rows] == ["ant", "bee", "cow"]
    assert said.code == 1
    assert said.error.startswith("warning:")
    assert words in said.error
    assert "bee" in said.error
    said = run_here(capsys, "models", "bee", "--json", "--registry", str(tmp_path))
    assert said.code == 1
    assert 1 in [row["version"] for row in said.rows], "the version that nothing is wrong with"
    assert words in said.error
    said = run_here(capsys, "models", "--registry", str(tmp_path))
    assert (said.code, said.output.split()[:4]) == (1, ["model", "live", "versions", "metrics"])
    assert run_here(capsys, "models", "ant", "--registry", str(tmp_path)).code == 0


@dataclass(frozen=True)
class Said:
    code: int
    output: str
    error: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(json.loads(self.output))


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run the command in this process, which takes less time than another one."""
    from onnxlet_cli.main import app

    capsys.readouterr()
    code = app(list(arguments), standalone_mode=False)
    found = capsys.readouterr()
    return Said(int(code or 0), found.out, " ".join(found.err.split()))
