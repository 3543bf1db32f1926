"""The interpreter that runs a package on this machine: a Python of its own, or Debian's arm64 Python under QEMU.

`make arm64` installs the second one (debian.py), so that x86_64 machines can run the package for Lambda's arm64.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from onnxlet_cli.assets import work_folder
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import MachineError

EMULATION = work_folder() / ".arm64"
"""The folder into which `make arm64` puts QEMU and a folder for each Python."""
QEMU = "qemu-aarch64-static"

EMULATED = {"3.11": "bookworm", "3.13": "trixie"}
"""The versions of Python that can be emulated, each with the Debian that has it."""

CPU = "neoverse-n1"
"""The core of Graviton2, as QEMU names it."""

CPU_FILES = "/sys/devices/system/cpu"
"""Lambda has no such folder, without which ONNX Runtime's Python package before 1.26 aborts (onnxruntime #10038)."""

HIDE = 'if [ -d "$0" ]; then mount -t tmpfs -o ro none "$0"; fi; exec "$@"'
"""A shell script that empties its first argument, a folder, and runs the others as a command."""

PROBE_TIMEOUT_S = 60


@dataclass(frozen=True)
class Interpreter:
    """A Python of the target that runs on this machine."""

    python: Path
    emulator: tuple[str, ...] = ()
    """The words of the command before the executable."""
    emulation: str | None = None
    """A note about the emulation; None without an emulator."""

    @property
    def command(self) -> list[str]:
        """The words that start it."""
        return [*self.emulator, str(self.python)]

    def runs(self) -> bool:
        """Return whether it starts."""
        command = [*self.command, "-I", "-S", "-c", ""]
        try:
            done = subprocess.run(command, env={}, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def find_interpreter(target: Target, python: Path | None, folder: Path = EMULATION) -> Interpreter:
    """Return the interpreter that runs a target's packages on this machine.

    That is this machine's own `python` of the target's version, or the one in the emulator's folder.

    Raises:
        MachineError: nothing on this machine can run the package.
    """
    reason = target.other_machine()
    if reason is not None and can_emulate(target):
        return _find_emulated(target, reason, folder)
    if reason is not None:
        raise MachineError(reason)
    if python is None:
        raise MachineError(f"Python {target.python} is not installed on this machine")
    return Interpreter(python)


def can_emulate(target: Target) -> bool:
    """Return whether this machine could emulate the target's processor."""
    return target.arch == "arm64" and sys.platform == "linux" and platform.machine() == "x86_64"


def emulated(version: str, folder: Path = EMULATION, *, has_cpu_files: bool) -> Interpreter:
    """Return the emulated interpreter of a version.

    QEMU looks up each file under the interpreter's root folder first. There must be the /proc/cpuinfo of an Arm
    machine: ONNX Runtime 1.28 and newer crash if they read that of an x86_64 machine. To hide /sys/devices/system/cpu,
    which Lambda does not have, needs root, or a machine that gives every user mount namespaces.
    """
    python = folder / f"python{version}/usr/bin/python{version}"
    qemu = (str(folder / QEMU), "-cpu", CPU, "-L", str(python.parents[2]))
    if has_cpu_files:
        return Interpreter(python, qemu, "under emulation")
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    unshare = (shutil.which("unshare") or "unshare", *as_root, "--mount")
    hide = ("/bin/sh", "-ec", HIDE, str(Path(CPU_FILES).parent))
    return Interpreter(python, (*unshare, *hide, *qemu), f"under emulation, without {CPU_FILES} as on Lambda")


def _find_emulated(target: Target, reason: str, folder: Path) -> Interpreter:
    if target.python not in EMULATED:
        raise MachineError(f"{reason}; there is an emulator for Python {' and '.join(EMULATED)} only")
    as_lambda, plain = (emulated(target.python, folder, has_cpu_files=has) for has in (False, True))
    if not plain.python.exists():
        raise MachineError(f"{reason}; `make arm64` installs an emulator that runs it")
    for interpreter in (as_lambda, plain):
        if interpreter.runs():
            return interpreter
    raise MachineError(f"{reason}, and {plain.python} does not run under {folder / QEMU}")
