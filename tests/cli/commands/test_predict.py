"""`onnxlet predict`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.main import app
from onnxlet_publishing.publish import publish_all
from tests.helpers import sounds, tables, task_models
from tests.helpers.command import Command, write_classifier
from tests.helpers.ungated import publish


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


def test_tables_and_sounds_are_read_by_the_suffix_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    for candidate in (tables.sums_candidate(), sounds.loudness_candidate()):
        publish(registry, candidate)
    Path("rows.csv").write_text("c,b,a\n3,2,1\n")
    Path("rows.jsonl").write_text('{"a": 1, "b": 2, "c": 3}\n[0, 0, 1]\n')
    Path("a.wav").write_bytes(sounds.wav_of(np.full(8000, 0.5), 16_000))

    def predict(*arguments: str) -> str:
        return CliRunner().invoke(app, ["predict", *arguments, "--registry", "registry"]).stdout

    assert predict("sums", "rows.csv") == "sums version 1\n  321.0\n"
    assert predict("sums", "rows.jsonl") == "sums version 1\n  321.0\n  100.0\n"
    assert predict("loudness", "a.wav") == "loudness version 1\n  quiet  0.7500\n  loud  0.2500\n"


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
        assert [lines[0], lines[3]] == ["  row 1", "  row 2"]
        assert {line.split()[0] for line in (*lines[1:3], *lines[4:])} == {"circle", "square"}

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


class TestTasks:
    """Texts, parameters, several files and a version's own example."""

    @pytest.fixture
    def predict(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        monkeypatch.chdir(tmp_path)
        registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
        tasks = ("text-classification", "feature-extraction", "zero-shot-classification")
        publish_all(registry, [task_models.text_candidate(task) for task in tasks])
        (tmp_path / "a.txt").write_text("It is warm.")
        (tmp_path / "notes").write_text("[MASK] is cold.")

        def run(*arguments: str, stdin: bytes = b"") -> Result:
            return CliRunner().invoke(app, ["predict", *arguments, "--registry", "registry"], input=stdin)

        return run

    def test_a_text_may_come_from_a_file_or_the_standard_input(self, predict: Callable[..., Result]) -> None:
        done = predict("text-classification", "a.txt")
        assert done.stdout.splitlines()[0] == "text-classification version 1"
        assert predict("text-classification", "-", stdin=b"It is warm.").stdout == done.stdout
        assert predict("text-classification", "-", stdin=b'["It is warm."]').stdout == done.stdout
        assert predict("text-classification", "notes").exit_code == 0, "a text, though it begins as JSON does"
        assert predict("feature-extraction", "a.txt").stdout.splitlines()[1].startswith("  [")

    def test_parameters_are_those_of_the_task(self, predict: Callable[..., Result]) -> None:
        done = predict("text-classification", "a.txt", "--parameter", "top_k=1")
        assert len(done.stdout.splitlines()) == 2
        done = predict("zero-shot-classification", "a.txt", "--parameter", "candidate_labels=warm, cold")
        assert {line.split()[0] for line in done.stdout.splitlines()[2:]} == {"warm", "cold"}
        assert "expected one of this model's parameters" in str(
            predict("text-classification", "a.txt", "--parameter", "colour=1").exception
        )
        assert "expected NAME=VALUE" in str(predict("text-classification", "a.txt", "--parameter", "1").exception)

    def test_several_files_are_answered_and_a_bad_one_spoils_no_other(
        self, predict: Callable[..., Result], tmp_path: Path
    ) -> None:
        (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xfd")
        done = predict("text-classification", "a.txt", "bad.txt", "notes", "--parameter", "top_k=1")
        assert done.exit_code == 1
        assert [line for line in done.stdout.splitlines() if not line.startswith("  ")] == ["a.txt", "notes"]
        done = predict("text-classification", "a.txt", "notes", "--json")
        assert [answer["file"] for answer in json.loads(done.stdout)] == ["a.txt", "notes"]

    def test_without_a_file_the_versions_own_example_is_asked(self, predict: Callable[..., Result]) -> None:
        done = predict("zero-shot-classification")
        assert done.exit_code == 0, done.output
        assert {line.split()[0] for line in done.stdout.splitlines()[2:]} == {"weather", "sports", "politics"}
        done = predict("zero-shot-classification", "--parameter", "candidate_labels=rain,sun")
        assert {line.split()[0] for line in done.stdout.splitlines()[2:]} == {"rain", "sun"}
