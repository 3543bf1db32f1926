"""`onnxlet doctor`, as a user runs it."""

import json
import subprocess
from pathlib import Path

from onnxlet.contract import layout
from tests.cli.doctor.test_package import NAME, SOUND, write
from tests.helpers import forked


def onnxlet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = forked.run(["doctor", *arguments], folder)
    assert "Traceback" not in done.stderr
    return done


def test_a_registry_in_order_exits_with_0(folder: Path, tmp_path: Path) -> None:
    done = onnxlet(tmp_path, str(folder), "--memory", "1769")
    assert done.returncode == 0
    *lines, last = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert last == f"Nothing is wrong: {len(lines)} checks"


def test_a_registry_with_an_error_exits_with_1(folder: Path, tmp_path: Path) -> None:
    (folder / layout.version_key("digits", 2)).unlink()
    done = onnxlet(tmp_path, str(folder))
    assert done.returncode == 1
    assert "error    alias_version_missing    digits@live: version 2, which is not there" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 error, 0 warnings, ")


def test_a_warning_alone_exits_with_0_and_machines_get_a_list(folder: Path, tmp_path: Path) -> None:
    (folder / layout.version_key("digits", 1)).unlink()
    done = onnxlet(tmp_path, "--registry", str(folder), "--json")
    assert done.returncode == 0
    (found,) = [finding for finding in json.loads(done.stdout) if finding["severity"] != "ok"]
    assert found["code"] == "rollback_missing"
    assert set(found) == {"severity", "code", "where", "found", "expected", "remedy"}


def test_a_package_alone_makes_no_registry(tmp_path: Path) -> None:
    write(tmp_path / NAME, SOUND)
    done = onnxlet(tmp_path, NAME)
    assert done.returncode == 0
    assert NAME in done.stdout
    assert not (tmp_path / ".onnxlet").exists()


def test_a_models_file_is_no_registry(tmp_path: Path) -> None:
    done = onnxlet(tmp_path, "iris.onnx")
    assert done.returncode == 1
    assert "iris.onnx: a model's file, expected a registry" in done.stdout
    assert "onnxlet publish iris.onnx, then onnxlet doctor" in done.stdout
