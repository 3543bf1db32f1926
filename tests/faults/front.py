"""The front: an HTTP server before an object store, which answers as a plan says and keeps a journal of all writes.

Each client has a URL of its own, so that what happens to it does not depend on the others: `/<token>/<bucket>/<key>`.
"""

import hashlib
import http.client
import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.bench.storage import NOT_RELAYED
from onnxlet_cli.local.http import Handler, serving
from tests.faults import plan
from tests.faults.plan import Asked, Plan

LATE_S = 0.05
TRICKLE_S = 0.005
TRICKLE_PIECES = 8
ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>An internal error.</Message></Error>"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the store says."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def etag(self) -> str | None:
        return next((value for name, value in self.headers.items() if name.lower() == "etag"), None)


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the store has done."""

    client: str
    key: str
    body: bytes


@dataclass
class World:
    """One place in the store, and what its clients have done to it."""

    scheme: str
    bucket: str
    root: str
    """The prefix of the keys, with which the clients' keys begin and which no plan sees."""
    journal: list[Write] = field(default_factory=list)
    """All writes that the store has done, in its order."""
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    is_calm: bool = False
    """Whether all goes well from now on."""
    writing: threading.Lock = field(default_factory=threading.Lock)
    counting: threading.Lock = field(default_factory=threading.Lock)
    states: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    """Of each alias, its states as they were read, the oldest first."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.root}"

    def bodies(self, prefix: str) -> list[Write]:
        """The writes of all keys that begin so."""
        return [write for write in self.journal if write.key.startswith(prefix)]


@dataclass
class Client:
    """Who asks: a world that it works in, and what happens to its requests."""

    name: str
    world: World
    plan: Plan
    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    met: list[tuple[Asked, str]] = field(default_factory=list)
    """The requests that met a fault, in order of their arrival."""


class Front:
    """A server before a store; see `serving_front`."""

    def __init__(self, upstream: str) -> None:
        self.address = urlsplit(upstream).netloc
        self.url = ""
        self._tokens = itertools.count(1)
        self._clients: dict[str, Client] = {}

    def connect(self, world: World, name: str, fault_plan: Plan = plan.calm) -> tuple[Client, StorageSettings]:
        """A client of its own, and the settings by which it reaches the store through this front."""
        token = f"t{next(self._tokens)}"
        client = self._clients[token] = Client(name, world, fault_plan)
        return client, StorageSettings(f"{self.url}/{token}", f"{self.url}/{token}")

    def find(self, token: str) -> Client:
        return self._clients[token]

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Ask the store."""
        connection = http.client.HTTPConnection(self.address)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            kept = {name: value for name, value in reply.getheaders() if name.lower() not in NOT_RELAYED}
            return Reply(reply.status, kept, reply.read())
        finally:
            connection.close()


class FrontHandler(Handler):
    """The HTTP side of a front."""

    front: Front

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        _, token, path = self.path.split("/", 2)
        client = self.front.find(token)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        key = unquote(path.partition("?")[0].partition("/")[2]).removeprefix(f"{client.world.root}/")
        fault = self._meet(client, key)
        if fault in {plan.LATE, plan.TRICKLE}:
            time.sleep(LATE_S)
        if fault == plan.DROPPED:
            self.close_connection = True
        elif fault in plan.STATUSES:
            self.reply(int(fault), ERROR, {"content-type": "application/xml"})
        elif fault == plan.ERROR_INSIDE:
            self.reply(200, ERROR, {"content-type": "application/xml"})
        else:
            self._send(self._ask(client, key, f"/{path}", body, is_stale=fault == plan.STALE), fault, key)

    do_PUT = do_POST = do_DELETE = do_GET

    def _meet(self, client: Client, key: str) -> str | None:
        """The fault that this request meets."""
        world = client.world
        with world.counting:
            world.requests += 1
            number = client.numbers[self.command, key]
            client.numbers[self.command, key] += 1
            asked = Asked(client.name, self.command, key, number)
            fault = None if world.is_calm else client.plan(asked)
            if fault is not None:
                world.faults[fault] += 1
                client.met.append((asked, fault))
        return fault

    def _ask(self, client: Client, key: str, path: str, body: bytes, *, is_stale: bool) -> Reply:
        world = client.world
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {*NOT_RELAYED, "host"}}
        if self.command == "PUT":
            with world.writing:
                reply = self.front.ask(self.command, path, body, {**headers, "content-length": str(len(body))})
                if reply.status == 200:
                    world.journal.append(Write(client.name, key, body))
            return reply
        if self.command != "GET" or "/aliases/" not in key:
            return self.front.ask(self.command, path, body, headers)
        return self._ask_alias(world.states[key], path, headers, is_stale=is_stale)

    def _ask_alias(self, states: list[Reply], path: str, headers: dict[str, str], *, is_stale: bool) -> Reply:
        """An alias as it is or, as a forgetful cache would have it, as it was."""
        known = next((value for name, value in headers.items() if name.lower() == "if-none-match"), None)
        if is_stale and states:
            older = states[-2:][0]
            return Reply(304, older.headers, b"") if known == older.etag else older
        reply = self.front.ask("GET", path, b"", headers)
        if reply.status == 200 and all(state.etag != reply.etag for state in states):
            states.append(reply)
        return reply

    def _send(self, reply: Reply, fault: str | None, key: str) -> None:
        """Send the store's reply, or what a fault makes of it."""
        if fault == plan.LOST:
            self.close_connection = True
        elif fault == plan.LOST_500:
            self.reply(500, ERROR, {"content-type": "application/xml"})
        elif reply.status not in {200, 206} or not reply.body:
            self.reply(reply.status, reply.body, reply.headers)
        elif fault in {plan.CUT, plan.TRICKLE}:
            self._send_pieces(reply, is_cut=fault == plan.CUT)
        else:
            self.reply(reply.status, damaged(reply.body, fault, key), reply.headers)

    def _send_pieces(self, reply: Reply, *, is_cut: bool) -> None:
        self.send_response(reply.status)
        for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if is_cut:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.close_connection = True
            return
        length = -(-len(reply.body) // TRICKLE_PIECES)
        for start in range(0, len(reply.body), length):
            self.wfile.write(reply.body[start : start + length])
            time.sleep(TRICKLE_S)


def damaged(body: bytes, fault: str | None, key: str) -> bytes:
    """A body as a fault of the kinds that only a digest can tell leaves it."""
    if fault == plan.FORGED:
        return ERROR
    if fault == plan.SHORT:
        return body[: len(body) // 2]
    if fault == plan.FLIPPED:
        position = int.from_bytes(hashlib.sha256(key.encode() + body).digest()[:6]) % (8 * len(body))
        flipped = bytearray(body)
        flipped[position // 8] ^= 1 << position % 8
        return bytes(flipped)
    return body


@contextmanager
def serving_front(upstream: str) -> Iterator[Front]:
    """A front before the store at a URL, while the context lasts."""
    front = Front(upstream)
    with serving(type("BoundFrontHandler", (FrontHandler,), {"front": front})) as url:
        front.url = url
        yield front
