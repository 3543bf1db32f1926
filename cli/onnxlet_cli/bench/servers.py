"""Servers of functions-framework, and requests to them over one open connection."""

import http.client
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from onnxlet.errors import SettingsError
from onnxlet_cli.bench.payloads import WrongAnswerError
from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.process import running

START_TIMEOUT_S = 60
POLL_S = 0.05


@contextmanager
def served(source: Path, target: str, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Serve a function of the file `source` as GCP does; gives the URL as soon as it listens.

    Args:
        source: The Python file.
        target: The function in it.
        environment: What it is told beside our own environment.
        log: The file for what it writes.

    Raises:
        SettingsError: it did not start.
    """
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    framework = str(Path(sys.executable).with_name("functions-framework"))
    command = [framework, "--target", target, "--source", str(source), "--host", HOST, "--port", str(port)]
    with log.open("wb") as stream, running(command, environment, stream) as process:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SettingsError(f"{target}: functions-framework did not start: {log.read_text()[-1000:]}")
            time.sleep(POLL_S)
        yield f"http://{HOST}:{port}"


class Client:
    """One connection that stays open."""

    def __init__(self, url: str) -> None:
        """Connect at the first request."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request; gives the answer's headers, with lower-case names, and its body.

        Raises:
            WrongAnswerError: a status other than 200.
        """
        try:
            return self._post(path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # gunicorn closes what was idle for two seconds
            self._connection.close()
            return self._post(path, body, headers)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        self._connection.request("POST", path, body, dict(headers))
        reply = self._connection.getresponse()
        data = reply.read()
        if reply.status != 200:
            raise WrongAnswerError(f"{path}: expected status 200, got {reply.status}: {data[:500]!r}")
        return {name.lower(): value for name, value in reply.getheaders()}, data

    def seconds(self, path: str, body: bytes, headers: Mapping[str, str], calls: int) -> list[float]:
        """The seconds of so many requests in a row."""
        found = []
        for _ in range(calls):
            started_s = time.perf_counter()
            self.post(path, body, headers)
            found.append(time.perf_counter() - started_s)
        return found


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
