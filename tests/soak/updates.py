"""The updates: new versions, promoted, rolled back, shared out and damaged, while the clients ask."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.errors import ModelNotFoundError
from onnxlet_publishing.publish import publish, store_all
from tests.helpers import graphs
from tests.helpers.damage import damage
from tests.soak.catalogue import DIGITS

if TYPE_CHECKING:
    from pathlib import Path

    from onnxlet.registry.registry import Registry
    from tests.soak.catalogue import Catalogue, Ledger

WEIGHTS = (0.1, 0.5)
"""Of a canary, from its first day to its second."""


class Updates(threading.Thread):
    """Changes a model every few seconds, until it is told to stop. Nobody else may publish."""

    def __init__(
        self,
        registry: Registry,
        root: Path,
        catalogue: Catalogue,
        ledger: Ledger,
        is_over: threading.Event,
        every_s: float,
        at_most: int | None = None,
    ) -> None:
        """Take a registry, the folder that it is in, and after how many changes all is over."""
        super().__init__(name="updates")
        self.done: Counter[str] = Counter()
        """How often each change was made."""
        self.canaries: set[tuple[str, int]] = set()
        """By name and version."""
        self.error: Exception | None = None
        """What ended them before their time."""
        self._registry = registry
        self._root = root
        self._catalogue = catalogue
        self._ledger = ledger
        self._is_over = is_over
        self._every_s = every_s
        self._at_most = at_most
        self._random = random.Random(0)
        self._seeds = count(10_000)

    def publish_first(self) -> None:
        """Publish every model's first edition."""
        for name, editions in self._catalogue.editions.items():
            store_all(self._registry, [editions[0]])
            self._allow(name, 1, 0)

    def run(self) -> None:
        changes = [self._publish, self._canary, self._more_canary, self._promote, self._shadow, self._rollback]
        try:
            for number in count() if self._at_most is None else range(self._at_most):
                if self._is_over.wait(self._every_s):
                    return
                # Every change comes to every model, and those of one model stand far apart.
                name = self._catalogue.changing[number % len(self._catalogue.changing)]
                if number % 9 == 4:
                    name, change = DIGITS, self._damage
                else:
                    change = changes[number // len(self._catalogue.changing) % len(changes)]
                change(name)
                self.done[change.__name__.strip("_")] += 1
            self._is_over.wait(self._every_s)  # the last one, too, must be seen
        except Exception as error:  # told at the end of the run, whatever it is
            self.error = error
        self._is_over.set()

    def _publish(self, name: str) -> None:
        """Publish a version that is live at once."""
        edition = self._pick(name)
        self._ledger.allow(name, self._registry.versions(name)[-1] + 1, edition)  # it may answer before we hear of it
        self._ledger.stored(name, self._store(name, edition, layout.LIVE))

    def _canary(self, name: str, weight: float = WEIGHTS[0]) -> None:
        edition = self._pick(name)
        version = self._store(name, edition)
        self._allow(name, version, edition)
        self._registry.share(name, version, CANARY, weight)
        self.canaries.add((name, version))

    def _more_canary(self, name: str) -> None:
        """Let the canary grow, where there is still one."""
        canary = self._registry.alias(name).canary
        if canary is None:
            self._canary(name, WEIGHTS[1])
        else:
            self._registry.share(name, canary.manifest.version, CANARY, WEIGHTS[1])

    def _promote(self, name: str) -> None:
        """Make the canary live, or another version that nobody has seen yet."""
        canary = self._registry.alias(name).canary
        if canary is not None:
            self._registry.promote(name, canary.manifest.version)
            return
        edition = self._pick(name)
        version = self._store(name, edition)
        self._allow(name, version, edition)
        self._registry.promote(name, version)

    def _shadow(self, name: str) -> None:
        """Let a version look on, which must answer nobody."""
        self._registry.share(name, self._store(name, self._pick(name)), SHADOW, WEIGHTS[1])

    def _rollback(self, name: str) -> None:
        try:
            self._registry.rollback(name)
        except ModelNotFoundError:  # no earlier version is left
            self._publish(name)

    def _damage(self, name: str) -> None:
        """Make a version live whose bytes were damaged after they were published: it must answer nobody."""
        manifest = publish(self._registry, graphs.digits_candidate(next(self._seeds), name), alias=None)
        damage(self._root, manifest)
        self._registry.promote(name, manifest.version)

    def _store(self, name: str, edition: int, alias: str | None = None) -> int:
        """Publish an edition as a new version; gives its number."""
        passed = self._catalogue.editions[name][edition]
        again = replace(passed, candidate=replace(passed.candidate, publication=os.urandom(16).hex()))
        (manifest,) = store_all(self._registry, [again], alias)
        return manifest.version

    def _allow(self, name: str, version: int, edition: int) -> None:
        self._ledger.allow(name, version, edition)
        self._ledger.stored(name, version)

    def _pick(self, name: str) -> int:
        return self._random.randrange(len(self._catalogue.editions[name]))
