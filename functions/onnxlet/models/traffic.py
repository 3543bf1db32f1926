"""The traffic: which version answers a request for an alias, while the alias moves under it."""

import hashlib
import logging
import os
import threading
import time
from dataclasses import dataclass

from onnxlet import deadline
from onnxlet.contract import layout
from onnxlet.contract.alias import Alias, Share
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError, StoreError
from onnxlet.models.cache import Models
from onnxlet.models.model import Model
from onnxlet.record import replace
from onnxlet.storage import Revision

logger = logging.getLogger("onnxlet")

FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 60.0
"""Between two attempts to load a version that did not load: each one fetches it anew.

The longest is also how long an older state of an alias is taken for what a cache in between has kept: Cloud Storage
itself keeps objects that all may read. One that stays for longer was restored by somebody, and is followed.
"""


@dataclass(frozen=True, slots=True)
class Routed:
    """Who answers one request."""

    model: Model
    shadow: Model | None = None
    """Gets a copy; its answer is logged."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A state of an alias that was not followed: a version in it did not load, or it is an older one."""

    revision: Revision
    retry_at_s: float
    """On the monotonic clock."""
    wait_s: float


@dataclass(slots=True)
class Followed:
    """An alias that is answered for, as it was when all of its versions were last loaded."""

    alias: Alias
    revision: Revision | None
    """None where not all of that state could be loaded, so that it is asked for again."""
    checked_at_s: float
    """On the monotonic clock."""
    problem: str | None = None
    """Why it is not answered as its document says now."""
    refused: Refused | None = None


class Traffic:
    """The aliases that this process answers for. Safe for threads."""

    def __init__(self, models: Models, refresh_s: float) -> None:
        """Take the loaded models, and how stale an alias may get."""
        self.models = models
        self._refresh_s = refresh_s
        self._changing = threading.Lock()  # whoever holds it changes what is followed, and lets go what no longer is
        self._left: list[Alias] = []
        """States of which a request may have loaded a version again after they were left."""
        self._followed: dict[tuple[str, str], Followed] = {}

    def route(self, name: str, alias: str = layout.LIVE, key: str | None = None) -> Routed:
        """Who answers a request for an alias, as the alias is now or was at most `refresh_s` ago.

        A new version takes over when it is loaded and has run once; until then, and where that fails, the old one
        answers.

        Args:
            name: The model.
            alias: The alias.
            key: What must come to the same version again and again while the shares do not change; None for chance.

        Raises:
            ModelNotFoundError, ManifestError, ArtifactError, UntrustedModelError, StoreError, MemoryBoundError: at the
                first request for the alias, or for a version that was let go for others.
        """
        followed = self._followed.get((name, alias))
        if followed is None:
            followed = self._follow(name, alias)
        elif time.monotonic() - followed.checked_at_s >= self._refresh_s:
            self._refresh(name, alias, followed)
        current = followed.alias
        key = key or os.urandom(16).hex()
        try:
            model = self._share(followed, current.canary, key) or self.models.get(current.manifest)
        except OnnxletError:
            if followed.alias is current:
                raise
            return self.route(name, alias, key)  # it moved meanwhile, and what it had named was let go
        routed = Routed(model, self._share(followed, current.shadow, key))
        if followed.alias is not current:  # it moved meanwhile, and what was let go then may have been loaded again
            self._left.append(current)
        return routed

    def refresh_all(self) -> None:
        """Look now whether any alias has moved, however lately that was looked for."""
        for (name, alias), followed in list(self._followed.items()):
            self._refresh(name, alias, followed)

    def problem(self, model: Model) -> str | None:
        """Why this model's alias is not answered as its document says, or None."""
        followed = list(self._followed.values())  # a copy: another thread may add one meanwhile
        return next(
            (each.problem for each in followed if each.problem and model.manifest in _versions(each.alias)), None
        )

    def _share(self, followed: Followed, share: Share | None, key: str) -> Model | None:
        """The model of a share where the key falls into it."""
        if share is None or not _falls_into(share, key):
            return None
        try:
            with deadline.within(deadline.remaining_s() / 2):  # what does not load leaves time for the alias's own
                return self.models.get(share.manifest)
        except OnnxletError as error:  # let go for others, and not to be had again now: the alias's own version answers
            followed.problem = error.public
            logger.warning("%s version %d: %s", share.manifest.model, share.manifest.version, error)
            return None

    def _follow(self, name: str, alias: str) -> Followed:
        with deadline.holding(self._changing):
            if (name, alias) not in self._followed:
                found, revision = self.models.registry.alias_state(name, alias)
                self.models.get(found.manifest)
                followed = Followed(found, revision, time.monotonic())
                try:
                    with deadline.within(deadline.remaining_s() / 2):  # as in `_share`
                        self._load_shares(found, is_ahead=False)
                except OnnxletError as error:
                    followed.alias, followed.revision = replace(found, canary=None, shadow=None), None
                    followed.problem, followed.refused = error.public, _refuse(None, revision)
                    logger.warning("%s@%s: %s", name, alias, error)
                self._followed[name, alias] = followed
            return self._followed[name, alias]

    def _refresh(self, name: str, alias: str, followed: Followed) -> None:
        """Look whether the alias has moved, and follow it; whoever comes meanwhile gets the old model at once."""
        if not self._changing.acquire(blocking=False):
            return
        try:
            with deadline.within(deadline.remaining_s() / 2):  # a store that stalls leaves time for the old model
                self._look(name, alias, followed)
        except OnnxletError as error:
            followed.problem = error.public
            logger.warning("%s@%s: version %d goes on: %s", name, alias, followed.alias.manifest.version, error)
        finally:
            while self._left:
                self._let_go(self._left.pop())
            self._changing.release()

    def _look(self, name: str, alias: str, followed: Followed) -> None:
        """Ask the registry for the alias, and follow it where it has moved. The caller holds the lock.

        Raises:
            OnnxletError: it could not be asked, or not be followed.
        """
        followed.checked_at_s = time.monotonic()
        registry = self.models.registry
        if followed.revision is None:
            changed: tuple[Alias, Revision] | None = registry.alias_state(name, alias)
        else:
            changed = registry.alias_if_changed(name, alias, followed.revision)
        if changed is None:
            followed.problem = followed.refused = None
        elif _is_due(followed.refused, changed[1]):
            _check_order(followed, *changed)
            self._move(followed, *changed)

    def _move(self, followed: Followed, alias: Alias, revision: Revision) -> None:
        """Follow an alias to its new state, when everything in that is loaded."""
        old = followed.alias
        try:
            self.models.get(alias.manifest, is_ahead=True)
            self._load_shares(alias, is_ahead=True)
        except OnnxletError:
            followed.refused = _refuse(followed.refused, revision)
            self._let_go(alias)  # what of it was loaded before the one that failed
            raise
        followed.alias, followed.revision = alias, revision
        followed.problem = followed.refused = None
        self._let_go(old)

    def _let_go(self, state: Alias) -> None:
        """Let the versions of a state go that no alias names as it is followed; requests that run on them finish."""
        named = [manifest for each in list(self._followed.values()) for manifest in _versions(each.alias)]
        for manifest in _versions(state):
            if manifest not in named:
                self.models.discard(manifest)

    def _load_shares(self, alias: Alias, *, is_ahead: bool) -> None:
        for share in (alias.canary, alias.shadow):
            if share is not None:
                self.models.get(share.manifest, is_ahead=is_ahead)


def _falls_into(share: Share, key: str) -> bool:
    """Whether a key belongs to a share: of all keys, the part that its weight says, and always the same ones."""
    text = f"{share.manifest.model}\0{share.manifest.version}\0{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) < share.weight * 2**64


def _versions(alias: Alias) -> list[Manifest]:
    shares = (share.manifest for share in (alias.canary, alias.shadow) if share is not None)
    return [alias.manifest, *shares]


def _check_order(followed: Followed, alias: Alias, revision: Revision) -> None:
    """Refuse an earlier state of an alias for a while.

    Raises:
        StoreError: it is one, and was not seen before.
    """
    is_known = followed.refused is not None and followed.refused.revision == revision
    if alias.is_before(followed.alias) and not is_known:
        followed.refused = Refused(revision, time.monotonic() + LONGEST_RETRY_S, LONGEST_RETRY_S)
        raise StoreError("the store gave an older state of the alias, which is followed only if it stays")


def _is_due(refused: Refused | None, revision: Revision) -> bool:
    """Whether to try to follow an alias to this state: a refused one only after a while."""
    return refused is None or refused.revision != revision or time.monotonic() >= refused.retry_at_s


def _refuse(refused: Refused | None, revision: Revision) -> Refused:
    is_again = refused is not None and refused.revision == revision
    wait_s = min(LONGEST_RETRY_S, refused.wait_s * 2) if refused is not None and is_again else FIRST_RETRY_S
    return Refused(revision, time.monotonic() + wait_s, wait_s)
