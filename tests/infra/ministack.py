"""MiniStack: an AWS on this machine, in a venv of its own (`make deploy-local`)."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXECUTABLE = ROOT / ".venv-ministack/bin/ministack"
SAM = ROOT / ".venv-deploy/bin/sam"

START_TIMEOUT_S = 60


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run it in a folder, with nothing in it; gives its address."""
    port = _free_port()
    environment = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "LAMBDA_EXECUTOR": "local"}
    url = f"http://localhost:{port}"
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(EXECUTABLE)], cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
        )
        try:
            _wait(f"{url}/_ministack/health", process)
            yield url
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url}: MiniStack does not answer")


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
