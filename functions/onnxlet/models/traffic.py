"""Traffic: which versions answer a request for an alias, while the alias moves from version to version.

`onnxlet.models.served_alias` follows one alias. Here requests find the aliases, canaries and shadows get their shares,
and the versions of retired states are unloaded unless a served alias names them; requests that run on them finish.
"""

from __future__ import annotations

import os
import threading
import time

from onnxlet.contract import hashing, layout
from onnxlet.contract.alias import Share
from onnxlet.errors import OnnxletError
from onnxlet.limits import deadline
from onnxlet.models.cache import Models
from onnxlet.models.model import Model
from onnxlet.models.served_alias import ServedAlias, versions
from onnxlet.record import Record


class Selection(Record):
    """The loaded versions that were selected for one request."""

    model: Model
    shadow: Model | None = None
    """The version that gets a copy of the request; its answer is only logged."""


class Traffic:
    """The aliases that this process serves. Safe for threads."""

    def __init__(self, models: Models, refresh_s: float) -> None:
        self.models = models
        self._refresh_s = refresh_s
        self._served: dict[tuple[str, str], ServedAlias] = {}
        self._updating = threading.Lock()
        """Guards the states of all served aliases, and the unloading of versions."""

    def route(self, name: str, alias: str = layout.LIVE, key: str | None = None) -> Selection:
        """Select the versions for a request, by the alias as it is now or was at most `refresh_s` ago.

        Args:
            name: The model.
            alias: The alias.
            key: Equal keys get the same version as long as the alias's weights are unchanged; None for chance.

        Raises:
            ModelNotFoundError, ManifestError, ArtifactError, UntrustedModelError, StoreError, MemoryBoundError: at the
                first request for the alias, or for a version that was unloaded in favour of others.
        """
        served = self._served.get((name, alias))
        if served is None:
            served = self._start(name, alias)
        elif time.monotonic() - served.checked_at_s >= self._refresh_s:
            self._check(served)
        state, key = served.state, key or os.urandom(16).hex()
        try:
            model = self._load_share(served, state.canary, key) or self.models.get(state.manifest)
        except OnnxletError:
            if served.state is state:
                raise
            return self.route(name, alias, key)  # the alias has moved meanwhile, and the old version is unloaded
        selection = Selection(model, self._load_share(served, state.shadow, key))
        if served.state is not state:  # the alias has moved meanwhile, and this request may have loaded an old version
            served.retired.append(state)
        return selection

    def refresh_all(self) -> None:
        """Check now whether any alias has moved."""
        for served in list(self._served.values()):
            self._check(served)

    def problem(self, model: Model) -> str | None:
        """Return why an alias that this model answers for is not served as it now says; None if it is."""
        aliases = list(self._served.values())  # a copy: another thread may add an alias meanwhile
        return next((one.problem for one in aliases if one.problem and model.manifest in versions(one.state)), None)

    def _start(self, name: str, alias: str) -> ServedAlias:
        with deadline.locked(self._updating):
            if (name, alias) not in self._served:
                self._served[name, alias] = ServedAlias(self.models, name, alias)
            return self._served[name, alias]

    def _check(self, served: ServedAlias) -> None:
        """Check whether an alias has moved, unless another thread is checking or starting one now."""
        if self._updating.acquire(blocking=False):
            try:
                served.check()
            finally:
                self._unload_retired()
                self._updating.release()

    def _unload_retired(self) -> None:
        """Unload the versions of retired states that no served alias names. The caller holds the lock."""
        aliases = list(self._served.values())
        for served in aliases:
            while served.retired:
                named = [manifest for one in aliases for manifest in versions(one.state)]
                for manifest in versions(served.retired.pop()):
                    if manifest not in named:
                        self.models.discard(manifest)

    def _load_share(self, served: ServedAlias, share: Share | None, key: str) -> Model | None:
        """Return the model of a canary or shadow if the key falls into its share and the model can be loaded."""
        if share is None or not _falls_into(share, key):
            return None
        with served.half_of_the_time(f"{share.manifest.model} version {share.manifest.version}"):
            return self.models.get(share.manifest)
        return None


def _falls_into(share: Share, key: str) -> bool:
    """Return whether a key belongs to a share: always the same keys, in proportion to the share's weight."""
    text = f"{share.manifest.model}\0{share.manifest.version}\0{key}"
    return int.from_bytes(hashing.sha256(text.encode()).digest()[:8]) < share.weight * 2**64
