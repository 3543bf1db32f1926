"""The front: HTTP before a real store, which kills a process at one of its writes, or lets connections die."""

import ctypes
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving

Moment = Literal["before", "during", "after"]
"""The write's head has come and nothing else; half of it has, and a store keeps nothing of that; it is stored, and its
writer never learns of it."""

MOMENTS: tuple[Moment, ...] = ("before", "during", "after")

Death = Literal["closed", "reset", "forgotten", "silent"]
"""What became of the connections while nobody looked: the other end closed them, or reset them; a NAT has forgotten
them, and answers the next packet with a reset; or nothing ever answers on them again."""

DEATHS: tuple[Death, ...] = ("closed", "reset", "forgotten", "silent")

WRITES = ("PUT", "POST", "DELETE")

libc = ctypes.CDLL(None, use_errno=True)


class Front:
    """What stands between a process and the store at `upstream`, and passes on what is not to go wrong."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.storage = StorageSettings(s3_endpoint=upstream, gcs_endpoint=upstream)
        """By which the store is reached past this front."""
        self.refused_tokens: set[str] = set()
        """Session tokens that have expired."""
        self.requests: list[str] = []
        """Each one's method and path."""
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        self._writes = 0
        self._aim: tuple[int, Moment] | None = None
        self._victim: Callable[[], object] | None = None
        self._has_victim = threading.Event()
        self.open_connections: set[socket.socket] = set()
        self.dead_connections: dict[socket.socket, Death] = {}

    def aim(self, write: int, moment: Moment) -> None:
        """Kill at a write, the first from now on being 0; nobody writes before `victim` has said whom."""
        self._writes, self._aim, self._victim = 0, (write, moment), None
        self._has_victim.clear()

    def victim(self, kill: Callable[[], object]) -> None:
        self._victim = kill
        self._has_victim.set()

    def kill_connections(self, death: Death) -> None:
        """Let all connections that are open now die."""
        for connection in list(self.open_connections):
            self.dead_connections[connection] = death
            if death == "closed":
                connection.shutdown(socket.SHUT_RDWR)
            elif death == "reset":
                reset(connection)

    def moment_of_death(self) -> Moment | None:
        """Whether this write is the one, and when in it."""
        if self._aim is None:
            return None
        with self._lock:
            is_it = self._writes == self._aim[0]
            self._writes += 1
        return self._aim[1] if is_it else None

    def kill(self) -> None:
        assert self._has_victim.wait(10)
        assert self._victim is not None
        self._victim()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it; gives its URL."""
        with serving(type("BoundFrontHandler", (FrontHandler,), {"front": self})) as url:
            try:
                yield url
            finally:
                self.is_over.set()


class FrontHandler(Handler):
    """One connection to the front."""

    front: Front

    def setup(self) -> None:
        super().setup()
        self.front.open_connections.add(self.connection)

    def finish(self) -> None:
        self.front.open_connections.discard(self.connection)
        super().finish()

    def relay(self) -> None:
        death = self.front.dead_connections.get(self.connection)
        if death is not None:
            self.die(death)
            return
        self.front.requests.append(f"{self.command} {self.path}")
        if self.headers.get("x-amz-security-token") in self.front.refused_tokens:
            self.refuse()
            return
        moment = self.front.moment_of_death() if self.command in WRITES else None
        if moment is None:
            self.pass_on(*self.ask())
            return
        if moment == "after":
            self.ask()
        elif moment == "during":
            self.rfile.read(self.length() // 2)
        self.front.kill()
        self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay

    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    def die(self, death: Death) -> None:
        self.close_connection = True
        if death == "silent":
            self.front.is_over.wait()
        reset(self.connection)

    def refuse(self) -> None:
        """What S3 says of credentials whose time is over."""
        self.rfile.read(self.length())
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        self.reply(400, body, {"content-type": "application/xml"})

    def ask(self) -> tuple[int, dict[str, str], bytes]:
        """The store's answer."""
        store = http.client.HTTPConnection(self.front.upstream, timeout=30)
        try:
            store.request(self.command, self.path, self.rfile.read(self.length()), dict(self.headers))
            reply = store.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            store.close()

    def pass_on(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        dropped = ("connection", "transfer-encoding")
        for name, value in ({**headers, "content-length": length}).items():
            if name not in dropped:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def reset(connection: socket.socket) -> None:
    """Reset a connection at once: Linux does so with a socket that is connected to nothing instead."""
    libc.connect(connection.fileno(), bytes(16), 16)
