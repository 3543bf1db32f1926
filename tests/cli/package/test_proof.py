import sys
import zipfile
from pathlib import Path

import pytest

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import proof
from onnxlet_cli.package.interpreter import Interpreter
from onnxlet_cli.package.proof import prove

PYTHON = Interpreter(Path(sys.executable))


def write_package(folder: Path, main: str) -> Path:
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("main.py", f"import json\n\ndef aws_http(event, context):\n{main}")
    return path


def answers(document: str, status: int = 200) -> str:
    return f"    return {{'statusCode': {status}, 'body': json.dumps({document})}}\n"


MEAN = [(k + 94.5) / 256 for k in range(3)]
"""Of each channel of the golden input: 192 numbers counted up, in 256ths."""


def test_the_right_answer_from_what_is_packaged_is_a_proof(tmp_path: Path) -> None:
    package = write_package(tmp_path, answers(f"{{'outputs': [{{'data': {MEAN}}}]}}"))
    found = prove(package, PYTHON, has_images=False)
    assert (found.requests, found.engine, found.from_source) == (1, "c", 1)
    assert (found.python, found.emulation) == (sys.executable, None)


def test_an_emulator_is_part_of_the_proof(tmp_path: Path) -> None:
    package = write_package(tmp_path, "    import os\n" + answers(f"{{'outputs': [{{'data': {MEAN}}}]}}"))
    emulator = Interpreter(Path(sys.executable), ("/usr/bin/env", "EMULATED=1"), "under emulation")
    assert prove(package, emulator, has_images=False).emulation == "under emulation"
    package = write_package(tmp_path, "    import os\n" + answers("{'error': os.environ.get('EMULATED')}", 500))
    with pytest.raises(PackageError, match="500: 1"):
        prove(package, emulator, has_images=False)


def test_a_process_that_does_not_answer_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "TIMEOUT_S", 0.01)
    package = write_package(tmp_path, answers("{}"))
    with pytest.raises(PackageError, match=r"does not run on its own: no answer within 0\.01 s"):
        prove(package, PYTHON, has_images=False)


def test_another_answer_is_none(tmp_path: Path) -> None:
    package = write_package(tmp_path, answers("{'outputs': [{'data': [0, 0, 0]}]}"))
    with pytest.raises(PackageError, match="gives a wrong answer to application/json"):
        prove(package, PYTHON, has_images=False)


def test_an_error_is_told_with_its_text(tmp_path: Path) -> None:
    package = write_package(tmp_path, answers("{'error': 'no library here'}", 500))
    with pytest.raises(PackageError, match="answers application/json with 500: no library here"):
        prove(package, PYTHON, has_images=False)


def test_what_is_installed_on_this_machine_cannot_be_imported(tmp_path: Path) -> None:
    package = write_package(tmp_path, "    import orjson\n")
    with pytest.raises(PackageError, match="does not run on its own: ModuleNotFoundError: No module named 'orjson'"):
        prove(package, PYTHON, has_images=False)


def test_what_is_loaded_from_elsewhere_all_the_same_is_told(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").touch()
    way_in = f"    import sys\n    sys.path.append({str(tmp_path)!r})\n    import stranger\n"
    package = write_package(tmp_path, way_in + answers(f"{{'outputs': [{{'data': {MEAN}}}]}}"))
    with pytest.raises(PackageError, match="loads modules that it does not contain: stranger"):
        prove(package, PYTHON, has_images=False)


def test_the_environment_of_this_machine_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    package = write_package(tmp_path, "    import os\n" + answers("{'error': 'SECRET' in os.environ}", 500))
    with pytest.raises(PackageError, match="500: False"):
        prove(package, PYTHON, has_images=False)
