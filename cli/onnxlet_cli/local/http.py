"""Small HTTP servers on the loopback address, which stand in for services of the clouds."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from onnxlet_publishing.errors import MachineError

HOST = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """A handler that keeps connections open and logs nothing."""

    protocol_version = "HTTP/1.1"
    # Else the small writes of a response wait for the client's delayed acknowledgement, about 40 ms.
    disable_nagle_algorithm = True

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole response; for HEAD without the body."""
        self.send_response(status)
        lengths = {"content-length": str(len(body))}
        if self.command == "HEAD":  # the function states the length of its response to GET
            lengths |= {name: value for name, value in headers.items() if name.lower() == "content-length"}
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        for name, value in lengths.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        """Log nothing: the function has its own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(handler: type[Handler], port: int = 0) -> Iterator[str]:
    """Run a server while the context lasts, and yield its URL; port 0 takes a free one.

    Raises:
        MachineError: The port is taken.
    """
    try:
        server = _Server((HOST, port), handler)
    except OSError as error:
        raise MachineError(f"port {port}: cannot be used: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
