"""`onnxlet models`: what is listed of models and versions, and of those that are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_REPAIR_BYTES
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs, keys, task_models
from tests.helpers.command import Command, fails, run_here, write_classifier
from tests.helpers.damage import resealed


def test_a_brought_model_is_published_moved_and_listed(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "Shapes.onnx")
    assert onnxlet("publish", "Shapes.onnx").stdout.endswith("shapes version 1 is live\n")
    assert onnxlet("publish", "Shapes.onnx", "--stage").stdout.endswith("shapes version 2 staged\n")
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
    assert said.endswith(f"shapes version 1 is live, signed by {keys.text(1)}\n")
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


def test_the_live_version_is_described_by_its_task_its_tensors_and_its_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish_all(registry, [task_models.text_candidate("text-ranking"), graphs.candidate("plain", graphs.sums())])
    tokens = "INT64 (batch, tokens)"
    said = run_here(capsys, "models", "text-ranking", "--registry", str(tmp_path))
    assert [line.rstrip() for line in said.output.splitlines()[2:]] == [
        "task     text-ranking, takes a text",
        f"inputs   input_ids {tokens}, attention_mask {tokens}, token_type_ids {tokens}",
        "outputs  logits FP32 (batch, 1)",
        "example  onnxlet predict text-ranking",
    ]
    said = run_here(capsys, "models", "plain", "--registry", str(tmp_path))
    assert "task     none, takes a tensor" in said.output
    assert "example" not in said.output
    (row,) = run_here(capsys, "models", "text-ranking", "--json", "--registry", str(tmp_path)).rows
    assert row["task"] == "text-ranking, takes a text"


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
