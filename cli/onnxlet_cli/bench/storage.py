"""The benchmark's S3: moto's server, behind a front that answers reads itself, at the pace of the real one.

It runs in a process of its own (`python -m onnxlet_cli.bench.storage`), writes its URL as one line and ends with its
standard input. moto makes a large answer in Python, slower than the throttle; the front keeps what it has read there
once.
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

from onnxlet.errors import SettingsError
from onnxlet_cli.bench.objects import StoredObject, answer
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.local.http import HOST, Handler, serving

BUCKET = "bench"

NOT_RELAYED = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server", "expect"}
CONDITIONS = {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}


class Front:
    """The objects that were read through moto once, and the way to moto for all else."""

    def __init__(self, upstream: str, throttle: Throttle) -> None:
        """Stand before the S3 at the URL `upstream`."""
        self.address = urlsplit(upstream).netloc
        self.throttle = throttle
        self._objects: dict[str, StoredObject] = {}
        self._lock = threading.Lock()

    def find(self, path: str, headers: dict[str, str]) -> StoredObject | None:
        """The object at `/bucket/key`; None where there is none, or the path is of something else."""
        if "?" in path or not path.partition("/")[2].partition("/")[2]:
            return None
        with self._lock:
            found = self._objects.get(path)
        if found is not None:
            return found
        plain = {name: value for name, value in headers.items() if name not in CONDITIONS}
        status, said, data = self.ask("GET", path, b"", plain)
        if status != 200:
            return None
        with self._lock:
            return self._objects.setdefault(path, StoredObject.keep(data, said))

    def forget(self, path: str) -> None:
        """Let go of an object that is about to change."""
        with self._lock:
            self._objects.pop(path.partition("?")[0], None)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Ask moto; gives its status, headers and body."""
        connection = http.client.HTTPConnection(self.address)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()


class FrontHandler(Handler):
    """The HTTP side of a front."""

    front: Front

    def handle(self) -> None:
        """Serve a connection; clients are killed as soon as they have answered."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Send an object, or what moto says of anything else."""
        asked_s = time.perf_counter()
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = self.front.find(self.path, headers)
        if found is None:
            self._pass_on(asked_s)
            return
        part = answer(found, headers)
        begins_s = self.front.throttle.wait_first(asked_s)
        self._reply_head(part.status, part.headers)
        if self.command != "HEAD":
            self.front.throttle.send(self.connection, found.file.fileno(), part.offset, part.size, begins_s)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """Let moto change an object."""
        self.front.forget(self.path)
        self._pass_on(time.perf_counter())
        self.front.forget(self.path)

    do_POST = do_DELETE = do_PUT

    def _pass_on(self, asked_s: float) -> None:
        body = self._read_body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_RELAYED}
        headers["content-length"] = str(len(body))
        status, said, data = self.front.ask(self.command, self.path, body, headers)
        kept = {name: value for name, value in said.items() if name.lower() not in NOT_RELAYED}
        self.front.throttle.wait_first(asked_s)
        if self.command == "HEAD":
            self._reply_head(status, {**kept, "content-length": said.get("Content-Length", "0")})
        else:
            self.reply(status, data, kept)

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


def handler_of(front: Front) -> type[FrontHandler]:
    """The HTTP side of this front."""
    return type("BoundHandler", (FrontHandler,), {"front": front})


@contextmanager
def storage(throttle: Throttle) -> Iterator[str]:
    """An S3 with the empty bucket `BUCKET`, in a process of its own; gives its URL.

    Raises:
        SettingsError: moto is not installed, or the process did not start.
    """
    pace = json.dumps([throttle.bandwidth, throttle.first_byte_s])
    command = [sys.executable, "-m", "onnxlet_cli.bench.storage", pace]
    pipe = subprocess.PIPE
    # In a session of its own no Ctrl-C of the terminal reaches it; it ends as its input does.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line.startswith("http"):
                raise SettingsError(line or "the benchmark's S3 did not start; the lines above say why")
            yield line
        finally:
            process.stdin.close()  # it ends by that


def main(pace: str) -> None:
    """Serve until the standard input ends."""
    try:
        from moto.server import ThreadedMotoServer  # of the dev extra
    except ImportError:
        print("the benchmark's S3 is moto's, which is not installed: pip install 'onnxlet[dev]'")  # noqa: T201
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    moto = ThreadedMotoServer(HOST, port=0, verbose=False)
    moto.start()
    bandwidth, first_byte_s = json.loads(pace)
    front = Front(f"http://{HOST}:{moto.get_host_and_port()[1]}", Throttle(bandwidth, first_byte_s))
    front.ask("PUT", f"/{BUCKET}", b"", {"content-length": "0"})
    with serving(handler_of(front)) as url:
        print(url, flush=True)  # noqa: T201 - the parent reads it
        sys.stdin.read()
    moto.stop()


if __name__ == "__main__":
    main(sys.argv[1])
