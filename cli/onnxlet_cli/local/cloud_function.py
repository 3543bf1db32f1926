"""A GCP Cloud Function on this machine: the real functions-framework, started as Google's buildpack starts it.

Source: GoogleCloudPlatform/buildpacks, cmd/python/functions_framework/main.go: the process is `functions-framework`
without arguments, in the folder of main.py, and the environment names the entry point.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.process import running
from onnxlet_publishing.errors import MachineError

START_TIMEOUT_S = 60
POLL_S = 0.05


@contextmanager
def serve_cloud_function(
    target: str, environment: Mapping[str, str], port: int = 0, log: IO[bytes] | None = None, source: Path | None = None
) -> Iterator[str]:
    """Serve an entry point as Google Cloud does, and yield its URL as soon as it listens.

    Port 0 is a free one. Without a log the function's output goes to the command's error stream. The source is the
    Python file with the entry point, by default the functions' `main.py`.

    Raises:
        MachineError: The port is taken, or the function did not start.
    """
    port = _require_free(port)
    place = {"FUNCTION_TARGET": target, "HOST": HOST, "PORT": str(port)}
    if source is not None:
        place["FUNCTION_SOURCE"] = str(source)
    folder = None if source is None else source.parent
    with running(["python", "-m", "functions_framework"], {**environment, **place}, log, folder) as process:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                status = f"exit code {process.poll()}"
                raise MachineError(f"{target}: functions-framework did not start ({status}){_log_tail(log)}")
            time.sleep(POLL_S)
        yield f"http://{HOST}:{port}"


def _log_tail(log: IO[bytes] | None) -> str:
    """Return the end of a log file for an error message."""
    if log is None or not isinstance(log.name, str):
        return ""
    return f": {Path(log.name).read_text(errors='replace')[-1000:].strip()}"


def _require_free(port: int) -> int:
    """Return the port itself, or a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise MachineError(f"port {port}: cannot be used: {error.strerror}") from error
        free: int = probe.getsockname()[1]
        return free


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
