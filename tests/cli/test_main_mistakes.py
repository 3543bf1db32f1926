"""A user's mistake is one line and an exit code: files that are missing, folders, empty, binary, or of another kind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onnxlet.errors import OnnxletError
from onnxlet_cli.main import app
from onnxlet_publishing.errors import CommandError
from tests.helpers.command import write_classifier

DOCUMENTS: dict[str, object] = {
    "null.json": None,
    "number.json": 1,
    "text.json": "x",
    "list.json": [1, None],
    "object.json": {"height": "a"},
    "sections.json": {"sections": [1]},
    "series.json": {"sections": [{"name": "warm", "series": [{"label": "a"}]}]},
    "medians.json": {"sections": [{"name": "warm", "series": [{"label": "a", "unit": "ms", "median": None}]}]},
    "inputs.json": {"inputs": [{"name": "x"}]},
    "instances.json": {"instances": 1},
}


def write_files(folder: Path) -> list[str]:
    """Write what somebody may give by mistake; returns the names, among them of what is not there."""
    files = {name: json.dumps(document).encode() for name, document in DOCUMENTS.items()}
    files |= {
        "empty": b"",
        "binary": bytes(range(256)),
        "binary.json": bytes(range(256)),
        "broken.png": b"\x89PNG\r\n\x1a\n123",
        "broken.npy": b"\x93NUMPY123",
        "broken.zip": b"PK\x03\x04123",
        "deep.json": b"[" * 20_000,
        "deep.log": b'{"a": ' * 20_000,
        "nan.json": b"NaN",
        "surrogate.json": b'"\\ud800"',
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    return [*files, "folder", "loop", "missing", "empty/file", "", "x" * 5000]


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "publish": lambda file: ["publish", file],
    "labels": lambda file: ["publish", "model.onnx", "--labels", file],
    "preprocess": lambda file: ["publish", "model.onnx", "--preprocess", file],
    "generation": lambda file: ["publish", "model.onnx", "--generation", file],
    "sign": lambda file: ["publish", "model.onnx", "--sign", file],
    "predict": lambda file: ["predict", "model", file],
    "explain": lambda file: ["explain", "model", file],
    "cost --bench": lambda file: ["cost", "--bench", file],
    "cost --logs": lambda file: ["cost", "--logs", file],
    "cost --chart": lambda file: ["cost", "--milliseconds", "3", "--chart", f"{file}/chart.gif"],
    "bench": lambda file: ["bench", "cold", "--package", file, "--models", "8kb"],
    "doctor": lambda file: ["doctor", file],
    "models": lambda file: ["models", "--registry", file or "missing"],
    "drift": lambda file: ["drift", "model", "--results", file],
    "export-edge": lambda file: ["export-edge", "nosuch", file],
    "deploy": lambda file: ["deploy", "--plan", "--model", file or "missing"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_mistake_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONNXLET_REGISTRY", str(tmp_path / "registry"))
    write_classifier(tmp_path / "model.onnx")
    runner = CliRunner()
    assert runner.invoke(app, ["publish", "model.onnx"]).exit_code == 0
    for file in write_files(tmp_path):
        done = runner.invoke(app, COMMANDS[command](file))
        # `main` prints these errors in one line; anything else would be a traceback.
        assert isinstance(done.exception, CommandError | OnnxletError | OSError | SystemExit | None), (
            file,
            done.exception,
        )


@pytest.mark.parametrize("path", ["chart.gif", "chart", "missing/chart.png", "folder.png"])
def test_a_chart_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    for command in (["cost", "--milliseconds", "3"], ["bench", "warm"]):
        done = CliRunner().invoke(app, [*command, "--chart", path])
        assert isinstance(done.exception, CommandError | OnnxletError)
        assert str(done.exception).startswith(f"--chart {path}: expected a file ")


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "-inf"])
@pytest.mark.parametrize(
    "option",
    [
        ["cost", "--milliseconds"],
        ["cost", "--milliseconds", "1", "--cold-milliseconds"],
        ["cost", "--milliseconds", "1", "--payload-kb"],
        ["bench", "cold", "--bandwidth"],
        ["bench", "cold", "--first-byte-ms"],
        ["drift", "digits", "--results", "r", "--threshold"],
        ["train", "digits", "--max-accuracy-drop"],
        ["deploy", "--plan", "--milliseconds"],
    ],
)
def test_a_number_that_is_not_finite_is_an_error_of_usage(option: list[str], value: str) -> None:
    assert CliRunner().invoke(app, [*option, value]).exit_code == 2
