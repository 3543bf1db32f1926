"""The served alias: which state of a moving alias requests are answered from.

All versions of a state load, and run once, before the state is served:

                          first request
                                |
                        its version loads
                                v
      +------------------>   SERVED
      |                         |  a check is due
      |                         v
      |   nothing new        CHECKED   one thread reads the alias; other requests are answered meanwhile
      +-------------------------+
      |                         |  the alias has another state
      |                         v
      |   all versions load  LOADING
      +-------------------------+      then the new state is served, and the old one is retired
      |                         |  a version does not load, or the new state is older than the one served
      |                         v
      |   old state          REFUSED   the same state is tried again only after a while: 0.25 s, 0.5 s ... 60 s
      +-------------------------+

If the first state's canary or shadow does not load, the alias is served without both, and that state is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from onnxlet import notices
from onnxlet.contract.alias import Alias
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError, StoreError
from onnxlet.limits import deadline
from onnxlet.models.cache import Models
from onnxlet.record import Record, replace
from onnxlet.storage import Revision

FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 60.0
"""The first and the longest wait before a refused state is tried again: each attempt downloads its versions.

An older state is refused for the longest wait: a cache in front of the store may still return it, as Cloud Storage's
own cache does for public objects. A state that stays for longer was restored on purpose, and is served.
"""


class Refusal(Record):
    """A state of an alias that is not served, and when to try it again."""

    revision: Revision
    wait_s: float
    retry_at_s: float
    """Time of the monotonic clock."""


class ServedAlias:
    """One alias, and the state of it that requests are answered from."""

    __slots__ = ("_models", "_name", "_place", "checked_at_s", "problem", "refusal", "retired", "revision", "state")

    def __init__(self, models: Models, model: str, alias: str) -> None:
        """Load and serve an alias.

        Raises:
            OnnxletError: the alias cannot be read, or its own version does not load.
        """
        self._models = models
        self._place = model, alias
        self._name = f"{model}@{alias}"
        state, revision = models.registry.alias_state(model, alias)
        models.get(state.manifest)
        self.state = replace(state, canary=None, shadow=None)
        self.revision: Revision | None = None
        """The revision of that state. None if only a part of it is served, so that the next check reads it again."""
        self.checked_at_s = time.monotonic()
        self.problem: str | None = None
        """Why requests are not answered as the alias now says."""
        self.refusal: Refusal | None = None
        self.retired: list[Alias] = []
        """Other states, of which versions may be loaded."""
        with self.half_of_the_time(self._name):
            self._serve(state, revision, is_ahead=False)

    def check(self) -> None:
        """Read the alias, and serve its new state if it has one. Only one thread at a time may do this."""
        with self.half_of_the_time(f"{self._name}: version {self.state.manifest.version} continues to answer"):
            self._update()

    def _update(self) -> None:
        self.checked_at_s = time.monotonic()
        registry = self._models.registry
        if self.revision is None:
            new: tuple[Alias, Revision] | None = registry.alias_state(*self._place)
        else:
            new = registry.alias_if_changed(*self._place, self.revision)
        if new is None:
            self.problem = self.refusal = None
            return
        state, revision = new
        refusal = self._refusal_of(revision)
        if refusal is None and state.is_before(self.state):
            self._refuse(revision, LONGEST_RETRY_S)
            raise StoreError("the store returned an older state of the alias, which is served only if it stays")
        if refusal is None or time.monotonic() >= refusal.retry_at_s:
            self._serve(state, revision, is_ahead=True)

    def _serve(self, state: Alias, revision: Revision, *, is_ahead: bool) -> None:
        """Load all versions of a state and serve it; refuse it for a while if one does not load."""
        try:
            for manifest in versions(state):
                self._models.get(manifest, is_ahead=is_ahead)
        except OnnxletError:
            refusal = self._refusal_of(revision)
            self._refuse(revision, FIRST_RETRY_S if refusal is None else min(LONGEST_RETRY_S, 2 * refusal.wait_s))
            self.retired.append(state)
            raise
        self.retired.append(self.state)
        self.state, self.revision = state, revision
        self.problem = self.refusal = None

    def _refusal_of(self, revision: Revision) -> Refusal | None:
        return self.refusal if self.refusal is not None and self.refusal.revision == revision else None

    def _refuse(self, revision: Revision, wait_s: float) -> None:
        self.refusal = Refusal(revision, wait_s, time.monotonic() + wait_s)

    @contextmanager
    def half_of_the_time(self, what: str) -> Iterator[None]:
        """Give a context half of the time that is left, so that the served state can still answer, and log its errors.

        Args:
            what: What the log says before the error.
        """
        try:
            with deadline.within(deadline.remaining_s() / 2):
                yield
        except OnnxletError as error:
            self.problem = error.public
            notices.warning("%s: %s", what, error)


def versions(state: Alias) -> list[Manifest]:
    """Return the manifests that a state of an alias names."""
    shares = (share.manifest for share in (state.canary, state.shadow) if share is not None)
    return [state.manifest, *shares]
