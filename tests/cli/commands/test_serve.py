"""`onnxlet serve`."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.command import Command, fails, write_classifier


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
