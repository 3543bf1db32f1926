import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import bytecode

THIS = "{}.{}".format(*sys.version_info)
SOURCE = "NAMES = {'a', 'b', 'c'}\n\ndef f(x):\n    return x in {'d', 'e', 'f'}\n"


def compiled(folder: Path, source: str = SOURCE) -> bytes:
    module = folder / "package" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text(source)
    bytecode.compile_tree(folder, Path(sys.executable))
    return Path(importlib.util.cache_from_source(str(module))).read_bytes()


def test_bytecode_is_used_without_a_look_at_its_source(tmp_path: Path) -> None:
    data = compiled(tmp_path)
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 0b01, "PEP 552: a hash, not checked"


def test_tracebacks_name_lambdas_folder_and_none_of_this_machine(tmp_path: Path) -> None:
    data = compiled(tmp_path)
    assert marshal.loads(data[16:]).co_filename == "/var/task/package/module.py"
    assert str(tmp_path).encode() not in data


def test_bytecode_is_the_same_wherever_it_is_compiled(tmp_path: Path) -> None:
    assert compiled(tmp_path / "one") == compiled(tmp_path / "another" / "deeper")


def test_a_module_that_does_not_compile_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"module\.py"):
        compiled(tmp_path, "def f(:\n")


def test_this_machines_python_is_our_own() -> None:
    assert bytecode.find_python(THIS) == Path(sys.executable)


def test_a_python_on_the_path_is_taken_if_it_is_what_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = tmp_path / "python3.99"
    write_command(command, f'exec {sys.executable} "$@"')
    assert bytecode.find_python("3.99") is None
    write_command(command, "echo cpython-399 /opt/python3.99")
    assert bytecode.find_python("3.99") == Path("/opt/python3.99")


def test_where_uv_cannot_fetch_one_either_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    write_command(tmp_path / "uv", "exit 2")
    assert bytecode.find_python("3.99") is None


def test_a_python_that_uv_fetches_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fetched = tmp_path / "fetched"
    write_command(tmp_path / "answers", "echo cpython-399 /opt/uv/python3.99")
    find = f"test -e {fetched} && echo {tmp_path}/answers"
    write_command(tmp_path / "uv", f'case "$2" in install) : > {fetched};; find) {find};; esac')
    assert bytecode.find_python("3.99") == Path("/opt/uv/python3.99")


def write_command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    assert subprocess.run(["/bin/sh", "-n", str(path)]).returncode == 0
