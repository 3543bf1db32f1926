"""The benchmark's S3: moto's server, behind a front that serves reads itself, at the pace of the real S3.

It runs in a process of its own (`python -m onnxlet_cli.bench.storage`), writes its URL as one line, and ends when its
standard input does. moto builds a large response in Python, slower than the throttle, so the front keeps each object
that it has read from moto.
"""

import http.client
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from onnxlet_cli.bench.objects import StoredObject, respond
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.local.http import HOST, Handler, serving
from onnxlet_publishing.errors import MachineError

BUCKET = "bench"

NOT_RELAYED = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server", "expect"}
CONDITIONS = {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}


class Front:
    """The objects read from moto so far, and the connection to moto for everything else."""

    def __init__(self, upstream: str, throttle: Throttle) -> None:
        self.address = urlsplit(upstream).netloc
        self.throttle = throttle
        self._objects: dict[str, StoredObject] = {}
        self._lock = threading.Lock()

    def find(self, path: str, headers: dict[str, str]) -> StoredObject | None:
        """Return the object at `/bucket/key`; None if it does not exist, or the path is not that of an object."""
        if "?" in path or not path.partition("/")[2].partition("/")[2]:
            return None
        with self._lock:
            stored = self._objects.get(path)
        if stored is not None:
            return stored
        plain = {name: value for name, value in headers.items() if name not in CONDITIONS}
        status, response_headers, data = self.relay("GET", path, b"", plain)
        if status != 200:
            return None
        with self._lock:
            return self._objects.setdefault(path, StoredObject.keep(data, response_headers))

    def forget(self, path: str) -> None:
        """Forget an object that is about to change."""
        with self._lock:
            self._objects.pop(path.partition("?")[0], None)

    def relay(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Send a request to moto; return the response's status, headers and body."""
        connection = http.client.HTTPConnection(self.address)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


class FrontHandler(Handler):
    """The HTTP server of a front."""

    front: Front

    def handle(self) -> None:
        """Serve a connection, whose client may be killed at any time."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Send an object, or relay any other request to moto."""
        arrived_s = time.perf_counter()
        headers = {name.lower(): value for name, value in self.headers.items()}
        stored = self.front.find(self.path, headers)
        if stored is None:
            self._relay(arrived_s)
            return
        part = respond(stored, headers)
        begins_s = self.front.throttle.wait_first(arrived_s)
        self._reply_head(part.status, part.headers)
        if self.command != "HEAD":
            self.front.throttle.send(self.connection, stored.file.fileno(), part.offset, part.size, begins_s)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """Have moto change an object."""
        self.front.forget(self.path)
        self._relay(time.perf_counter())
        self.front.forget(self.path)

    do_POST = do_DELETE = do_PUT

    def _relay(self, arrived_s: float) -> None:
        body = self._read_body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_RELAYED}
        headers["content-length"] = str(len(body))
        status, response_headers, data = self.front.relay(self.command, self.path, body, headers)
        relayed = {name: value for name, value in response_headers.items() if name.lower() not in NOT_RELAYED}
        self.front.throttle.wait_first(arrived_s)
        if self.command == "HEAD":
            self._reply_head(status, {**relayed, "content-length": response_headers.get("Content-Length", "0")})
        else:
            self.reply(status, data, relayed)

    def _reply_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)


@contextmanager
def storage(throttle: Throttle) -> Iterator[str]:
    """Start an S3 with the empty bucket `BUCKET` in a process of its own, and yield its URL.

    Raises:
        MachineError: moto is not installed, or the process did not start.
    """
    pace = json.dumps([throttle.bandwidth, throttle.first_byte_s])
    command = [sys.executable, "-m", "onnxlet_cli.bench.storage", pace]
    pipe = subprocess.PIPE
    # In a session of its own it does not receive the terminal's Ctrl-C; it ends when its input does.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line.startswith("http"):
                raise MachineError(line or "the benchmark's S3 did not start; the lines above say why")
            yield line
        finally:
            process.stdin.close()  # ends the process


def main(pace: str) -> None:
    """Serve until the standard input ends."""
    try:
        from moto.server import ThreadedMotoServer  # in the dev extra
    except ImportError:
        print("the benchmark's S3 needs moto: pip install 'onnxlet[dev]'")  # noqa: T201
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would log each request
    moto = ThreadedMotoServer(HOST, port=0, verbose=False)
    moto.start()
    bandwidth, first_byte_s = json.loads(pace)
    front = Front(f"http://{HOST}:{moto.get_host_and_port()[1]}", Throttle(bandwidth, first_byte_s))
    front.relay("PUT", f"/{BUCKET}", b"", {"content-length": "0"})
    with serving(type("BoundHandler", (FrontHandler,), {"front": front})) as url:
        print(url, flush=True)  # noqa: T201 - the parent reads it
        sys.stdin.read()
    moto.stop()


if __name__ == "__main__":
    main(sys.argv[1])
