import platform
import sys
from pathlib import Path

import pytest

from onnxlet_cli.package.interpreter import QEMU, Interpreter, emulated, find_interpreter
from onnxlet_cli.package.target import MACHINES, Target
from onnxlet_publishing.errors import MachineError

HERE = Target("aws", next(arch for arch, machine in MACHINES.items() if machine == platform.machine()), "3.13")
ARM = Target("aws", "arm64", "3.13")

on_x86_64 = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="arm64 is emulated on x86_64 Linux only"
)


def write_emulator(folder: Path, script: str) -> Path:
    """Make a folder as `make arm64` does, with a script for QEMU."""
    python = emulated("3.13", folder, has_cpu_files=True).python
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / QEMU).write_text(f"#!/bin/sh\n{script}\n")
    (folder / QEMU).chmod(0o755)
    return folder


def test_a_package_for_this_machine_is_run_by_its_own_python(tmp_path: Path) -> None:
    interpreter = find_interpreter(HERE, Path(sys.executable), tmp_path)
    assert interpreter == Interpreter(Path(sys.executable))
    assert interpreter.command == [sys.executable]
    assert interpreter.runs()


def test_without_a_python_of_the_targets_version_nothing_runs_it(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"^Python 3\.13 is not installed on this machine$"):
        find_interpreter(HERE, None, tmp_path)


@on_x86_64
@pytest.mark.parametrize(
    ("python", "remedy"),
    [
        ("3.13", "`make arm64` installs an emulator that runs it"),
        ("3.12", r"there is an emulator for Python 3\.11 and 3\.13 only"),
    ],
)
def test_without_an_emulator_the_error_says_whether_there_is_one(tmp_path: Path, python: str, remedy: str) -> None:
    with pytest.raises(MachineError, match=f"^this machine is x86_64, and the package is for aarch64; {remedy}$"):
        find_interpreter(Target("aws", "arm64", python), Path(sys.executable), tmp_path)


@on_x86_64
def test_the_emulator_runs_the_python_that_is_beside_it(tmp_path: Path) -> None:
    folder = write_emulator(
        tmp_path / "a folder", f'test "$*" = "-cpu neoverse-n1 -L {tmp_path}/a folder/python3.13 $5 $6 $7 $8 "'
    )
    interpreter = find_interpreter(ARM, None, folder)
    assert interpreter.python == folder / "python3.13/usr/bin/python3.13"
    assert interpreter.emulation is not None
    assert interpreter.emulation.startswith("under emulation")


@on_x86_64
def test_where_the_cpus_files_cannot_be_hidden_the_emulator_runs_with_them(tmp_path: Path) -> None:
    """As for a user without root, where users have no mount namespaces."""
    folder = write_emulator(tmp_path, "test -e /sys/devices/system/cpu")
    assert find_interpreter(ARM, None, folder).emulation == "under emulation"


@on_x86_64
def test_an_emulator_that_does_not_run_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=rf"/python3\.13 does not run under {tmp_path / QEMU}$"):
        find_interpreter(ARM, None, write_emulator(tmp_path, "exit 1"))
    (tmp_path / QEMU).unlink()
    with pytest.raises(MachineError, match="does not run under"):
        find_interpreter(ARM, None, tmp_path)
