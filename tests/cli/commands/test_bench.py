import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from onnxlet_cli.commands.bench import app


def test_the_command_starts_without_what_only_a_measurement_needs() -> None:
    heavy = "{'numpy', 'onnx', 'onnxruntime', 'boto3'}"
    source = f"import sys, onnxlet_cli.commands.bench; print(*(sys.modules.keys() & {heavy}))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_unknown_model_is_refused_before_anything_starts() -> None:
    result = CliRunner().invoke(app, ["cold", "--models", "bert"])
    assert result.exit_code == 1
    assert "expected some of tiny" in str(result.exception)


def test_json_is_one_document(tmp_path: Path) -> None:
    arguments = ["cold", "--models", "tiny", "--runs", "1", "--no-throttle", "--cache", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (section,) = document["sections"]
    assert section["comparisons"][0]["key"] == "cold tiny / typical, no throttle"
    assert section["throttle"] == {"bandwidth": None, "first_byte_s": 0.0}
