"""A GCP Cloud Function on this machine: the real functions-framework, started as Google's buildpack starts it.

Source: GoogleCloudPlatform/buildpacks, cmd/python/functions_framework/main.go: the process is `functions-framework`
without arguments, in the folder of main.py, and the environment names the entry point.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO

from onnxlet.errors import SettingsError
from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.process import running

START_TIMEOUT_S = 60
POLL_S = 0.05


@contextmanager
def serve_cloud_function(
    target: str, environment: Mapping[str, str], port: int = 0, log: IO[bytes] | None = None
) -> Iterator[str]:
    """Serve one entry point of `main.py`; gives its URL as soon as it listens.

    Args:
        target: `gcp_http`, `gcp_objects` or `gcp_message`.
        environment: The function's variables.
        port: 0 takes a free one.
        log: Where its output goes; None lets it through.

    Raises:
        SettingsError: the port is taken, or the function did not start.
    """
    port = _require_free(port)
    place = {"FUNCTION_TARGET": target, "HOST": HOST, "PORT": str(port)}
    with running(["python", "-m", "functions_framework"], {**environment, **place}, log) as process:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SettingsError(f"{target}: functions-framework did not start (exit code {process.poll()})")
            time.sleep(POLL_S)
        yield f"http://{HOST}:{port}"


def _require_free(port: int) -> int:
    """The port itself, or a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingsError(f"port {port}: cannot be used: {error.strerror}") from error
        free: int = probe.getsockname()[1]
        return free


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
