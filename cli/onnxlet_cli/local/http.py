"""Small HTTP servers on this machine's loopback address, for the stand-ins of the clouds' own."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from onnxlet_publishing.errors import MachineError

HOST = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """A handler that keeps connections open and its peace."""

    protocol_version = "HTTP/1.1"
    # Without it the small writes of a reply wait for the client's delayed acknowledgement, some 40 ms.
    disable_nagle_algorithm = True

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole reply; the body is left out for HEAD."""
        self.send_response(status)
        lengths = {"content-length": str(len(body))}
        if self.command == "HEAD":  # then a function says what its answer to GET would have
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
        """Say nothing: what matters is in the function's own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(handler: type[Handler], port: int = 0) -> Iterator[str]:
    """Run a server while the context lasts; gives its URL. Port 0 takes a free one.

    Raises:
        MachineError: the port is taken.
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
