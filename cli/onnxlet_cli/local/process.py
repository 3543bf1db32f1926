"""A child process that runs the functions and ends with its context."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from onnxlet_cli.assets import functions_folder

STOP_TIMEOUT_S = 5


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: IO[bytes] | None, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own that ends with the context; `python` stands for this interpreter.

    The environment is added to this process's own. Without a log the output goes to our own error stream. The
    command's current folder is by default that of the functions.
    """
    output = log or sys.stderr.buffer
    process = subprocess.Popen(
        [sys.executable if word == "python" else word for word in command],
        cwd=folder or functions_folder(),
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
