"""Findings: what child processes have found about graphs, kept because a run passes the gate more than once."""

import hashlib
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Found = TypeVar("Found")

MAX_FINDINGS = 16
"""How many are kept: the graphs of one run and its variants. The graphs themselves are not."""


class Findings(Generic[Found]):
    """The latest findings of one kind, each by the bytes of its graph and by what was asked about it."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Found] = {}

    def get(self, graph: bytes, question: Hashable, find: Callable[[], Found]) -> Found:
        """Return what was found before, or what `find` finds now."""
        key = hashlib.sha256(graph).digest(), question
        if key not in self._found:
            found = find()
            if len(self._found) == MAX_FINDINGS:
                del self._found[next(iter(self._found))]
            self._found[key] = found
        return self._found[key]
