"""The plans: what goes wrong with which request, by a script or by seeded chance."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

LATE, TRICKLE = "late", "trickle"
DROPPED, LOST, CUT = "dropped", "lost", "cut"
LOST_500 = "lost 500"
STATUSES = ("500", "503", "409", "412")
ERROR_INSIDE, FORGED = "error inside", "forged"
FLIPPED, SHORT = "flipped", "short"
STALE = "stale"

OF_WRITES = (LATE, DROPPED, LOST, LOST_500, *STATUSES, ERROR_INSIDE)
"""`dropped`: the connection ends before the store hears of it; `lost`: after the store has done it. `lost 500`: the
store has done it and says that it has not. `error inside`: a 200 with an error document, and nothing was done."""

OF_READS = (LATE, TRICKLE, DROPPED, CUT, *STATUSES, ERROR_INSIDE)
"""`trickle`: a few bytes at a time. `cut`: the connection ends in the middle of the body."""

OF_LISTS = tuple(kind for kind in OF_READS if kind != ERROR_INSIDE)
"""obstore takes an error document for an empty list; no store documents that it answers a list so."""

OF_CHECKED_READS = (FLIPPED, SHORT, FORGED)
"""What only a digest can tell, and so is done to the registry's own objects alone: one flipped bit; a body that is
too short, as its headers say; an error document that has all headers of the object."""

OF_REPLACED = (STALE,)
"""An older state, of an object that is replaced now and then."""

KINDS = tuple(dict.fromkeys((*OF_WRITES, *OF_READS, *OF_CHECKED_READS, *OF_REPLACED)))

BURST = 5
"""Requests in a row for one key: as often as a request is tried, so that all of them fail."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as a plan may know it: nothing in it depends on what other clients do meanwhile."""

    client: str
    method: str
    key: str
    """Below the root that the client works in; empty for a list."""
    number: int
    """Of this client's requests with this method for this key, from 0."""


Plan = Callable[[Asked], str | None]
"""The fault of a request, or None."""


def calm(_asked: Asked) -> None:
    """Nothing goes wrong."""


class Script:
    """The faults of the requests with one method, in their order; after that nothing goes wrong."""

    def __init__(self, method: str, *faults: str) -> None:
        self._method = method
        self._left = list(faults)

    def __call__(self, asked: Asked) -> str | None:
        return self._left.pop(0) or None if asked.method == self._method and self._left else None


class Chance:
    """Faults by seeded chance. Whatever threads do, the same request of the same client meets the same fault."""

    def __init__(self, seed: int, rate: float, burst_rate: float) -> None:
        """Take the seed, and the parts of requests that meet a fault, and that begin a burst of them."""
        self._seed = seed
        self._rate = rate
        self._burst_rate = burst_rate

    def __call__(self, asked: Asked) -> str | None:
        if self._draw(asked, f"burst {asked.number // BURST}") < self._burst_rate:
            return "503"
        if self._draw(asked, f"fault {asked.number}") >= self._rate:
            return None
        kinds = possible(asked)
        return kinds[int(self._draw(asked, f"kind {asked.number}") * len(kinds))]

    def _draw(self, asked: Asked, what: str) -> float:
        """A number in [0, 1)."""
        text = f"{self._seed}\0{asked.client}\0{asked.method}\0{asked.key}\0{what}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def possible(asked: Asked) -> tuple[str, ...]:
    """The kinds of faults that a request may meet."""
    if asked.method != "GET":
        return OF_WRITES
    if not asked.key:
        return OF_LISTS
    of_registry = OF_CHECKED_READS if asked.key.startswith("registry/") else ()
    return (*OF_READS, *of_registry, *(OF_REPLACED * 3 if "/aliases/" in asked.key else ()))
