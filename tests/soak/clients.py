"""The clients: each asks one question after another over its own connection, and holds every answer to what is due."""

from __future__ import annotations

import http.client
import ipaddress
import random
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.soak.histogram import Histogram
from tests.soak.questions import problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.catalogue import Ledger
    from tests.soak.questions import Question

TIMEOUT_S = 60
MAX_IDLE_S = 1.0
"""After it a connection is opened anew: gunicorn closes one after 2 s, perhaps while the next request is on its way."""
MAX_TOLD = 20
"""Failures whose text is kept."""
KEYS = 200
"""Values of `onnxlet-key`, each of which always comes to the same version of a canary."""
REQUESTS_PER_CONNECTION = 500

DROPPED = "dropped"
"""In place of a status, where no answer came."""


@dataclass
class Tally:
    """What came of requests."""

    latencies: dict[str, Histogram] = field(default_factory=dict)
    """By kind."""
    statuses: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    """The first of them."""
    versions: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Who has answered."""

    def add(self, kind: str, seconds: float, status: str, failure: str | None) -> None:
        self.latencies.setdefault(kind, Histogram()).add(seconds)
        self.statuses[status] += 1
        if failure is not None:
            self.failed += 1
            if len(self.failures) < MAX_TOLD:
                self.failures.append(f"{kind}: {failure}")

    def merge(self, other: Tally) -> None:
        for kind, histogram in other.latencies.items():
            self.latencies.setdefault(kind, Histogram()).merge(histogram)
        self.statuses += other.statuses
        self.failed += other.failed
        self.failures += other.failures[: MAX_TOLD - len(self.failures)]
        self.versions += other.versions

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def all_latencies(self) -> Histogram:
        whole = Histogram()
        for histogram in self.latencies.values():
            whole.merge(histogram)
        return whole


class Client(threading.Thread):
    """Asks until it is told to stop: one request in flight at a time."""

    def __init__(
        self, url: str, questions: Sequence[Question], ledger: Ledger, is_over: threading.Event, seed: int
    ) -> None:
        super().__init__(name=f"client-{seed}")
        self.tally = Tally()
        self._connection = http.client.HTTPConnection(require_loopback(url), timeout=TIMEOUT_S)
        self._questions = questions
        self._shares = list(accumulate(question.share for question in questions))
        self._ledger = ledger
        self._is_over = is_over
        self._random = random.Random(seed)
        self._last_s = 0.0

    def run(self) -> None:
        while not self._is_over.is_set():
            (question,) = self._random.choices(self._questions, cum_weights=self._shares)
            self.ask(question)
        self._connection.close()

    def ask(self, question: Question) -> None:
        pinned = None
        if "{version}" in question.path and question.model is not None:
            pinned = self._random.choice(self._ledger.versions(question.model))
        headers = {**question.headers, "onnxlet-key": str(self._random.randrange(KEYS))}
        if time.monotonic() - self._last_s > MAX_IDLE_S or self._random.random() < 1 / REQUESTS_PER_CONNECTION:
            self._connection.close()
        started_s = time.monotonic()
        try:
            path = question.path.format(version=pinned)
            self._connection.request(question.method, path, question.body or None, headers)
            reply = self._connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self.tally.add(question.kind, time.monotonic() - started_s, DROPPED, repr(error))
            return
        self._last_s = time.monotonic()
        answered = {name.lower(): value for name, value in reply.headers.items()}
        try:
            failure = problem(question, pinned, reply.status, answered, body, self._ledger)
        except (KeyError, ValueError, zlib.error) as error:
            failure = f"cannot be read: {error!r}: {body[:200]!r}"
        self.tally.add(question.kind, self._last_s - started_s, str(reply.status), failure)
        if question.model is not None and failure is None:
            self.tally.versions[question.model, int(answered["onnxlet-version"])] += 1


def require_loopback(url: str) -> str:
    """The host and port of a URL on this machine.

    Raises:
        ValueError: it leads elsewhere, where a load is an attack.
    """
    parts = urlsplit(url)
    try:
        is_loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_loopback = parts.hostname == "localhost"
    if not is_loopback:
        raise ValueError(f"{url}: expected an address of this machine's loopback")
    return parts.netloc
