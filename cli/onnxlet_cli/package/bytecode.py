"""Bytecode: the package's modules compiled by the Python that will run them.

Without it every cold start compiles them again, because Lambda's folder is read-only; imports then take 2.5 to 3.5
times as long.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from onnxlet_cli.errors import PackageError

LAMBDA_FOLDER = "/var/task"
"""The folder into which Lambda unpacks a zip; tracebacks name it instead of a folder of this machine."""

ASK = "import sys; print(sys.implementation.cache_tag, sys.executable)"
ASK_TIMEOUT_S = 60
FETCH_TIMEOUT_S = 300
COMPILE_TIMEOUT_S = 600


def find_python(version: str) -> Path | None:
    """Return an interpreter of this minor version: our own, one of this machine, or one that uv knows or fetches."""
    if version == "{}.{}".format(*sys.version_info):
        return Path(sys.executable)
    found = _asked(f"python{version}", version)
    uv = shutil.which("uv")
    if found is not None or uv is None:
        return found
    found = _uv_python(uv, version)
    if found is None and _output([uv, "python", "install", "--no-bin", version], FETCH_TIMEOUT_S) is not None:
        found = _uv_python(uv, version)
    return found


def compile_tree(tree: Path, python: Path) -> None:
    """Compile every module of a tree into the `__pycache__` next to it.

    Python uses this bytecode without checking its source (`unchecked-hash`), as a zip has no times to compare.

    Raises:
        PackageError: a module does not compile.
    """
    options = ["-q", "-j", "1", "-s", str(tree), "-p", LAMBDA_FOLDER, "--invalidation-mode", "unchecked-hash"]
    # A fixed seed and one process make the bytes reproducible.
    done = subprocess.run(
        [str(python), "-P", "-S", "-m", "compileall", *options, str(tree)],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise PackageError(f"{python} does not compile the package: {(done.stdout or done.stderr)[:400]}")


def _asked(command: str, version: str) -> Path | None:
    """Return the interpreter behind a command if it is CPython of this version."""
    executable = shutil.which(command)
    if executable is None:
        return None
    environment = {**os.environ, "PYENV_VERSION": version}  # pyenv's shims run no version that is not selected
    done = _output([executable, "-I", "-S", "-c", ASK], ASK_TIMEOUT_S, environment)
    tag, _, path = (done or "").strip().partition(" ")
    return Path(path) if tag == f"cpython-{version.replace('.', '')}" else None


def _uv_python(uv: str, version: str) -> Path | None:
    path = _output([uv, "python", "find", "--no-project", "--managed-python", version], ASK_TIMEOUT_S)
    return None if path is None else _asked(path.strip(), version)


def _output(command: list[str], timeout_s: float, environment: dict[str, str] | None = None) -> str | None:
    """Return the output of a command; None if it fails."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
