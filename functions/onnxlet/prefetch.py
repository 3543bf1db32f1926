"""The prefetch: the default model is on its way from the store while the process still imports what will run it.

Only what is needed to ask the store is imported before it is asked: see tests/functions/test_main.py.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.errors import OnnxletError
from onnxlet.store import Store, Stored, open_store

if TYPE_CHECKING:
    from onnxlet.config import Settings
    from onnxlet.registry import Registry


SWITCH_S = 0.0005
"""How long an import may keep this thread from its next step; Python's 5 ms are as long as a step of the network."""


class Prefetch(threading.Thread):
    """The default model's alias on its way, and then its artifacts."""

    def __init__(self, settings: Settings, model: str) -> None:
        """Take what to fetch; `start` begins.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL leads nowhere.
        """
        super().__init__(name="prefetch", daemon=True)
        self._settings = settings
        self._model = model
        self._store = open_store(settings.registry, settings.storage)
        self._registry: Registry | None = None

    def run(self) -> None:
        """Read the alias, and begin to fetch what it names. What fails here will fail again for who needs it."""
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            stored = self._store.read(layout.alias_key(self._model, layout.LIVE))
            self._registry = _open(self._settings, self._store, self._model, stored)
        except OnnxletError:
            return
        finally:
            sys.setswitchinterval(usual_s)

    def registry(self) -> Registry | None:
        """The registry in which it is under way; None where it failed."""
        self.join()
        return self._registry


def begin(settings: Settings) -> Prefetch | None:
    """Begin to fetch the default model.

    Returns:
        None where nothing was begun: without a default model, in a process whose threads end when a server forks its
        workers from it, and where the registry cannot be opened, which who needs it will say.
    """
    if settings.model is None or settings.is_preforked:
        return None
    try:
        prefetch = Prefetch(settings, settings.model)
    except OnnxletError:
        return None
    prefetch.start()
    return prefetch


def _open(settings: Settings, store: Store, model: str, stored: Stored) -> Registry:
    """The registry, with an alias that was just read, and with the artifacts that it names on their way."""
    # What reads the document is imported while the store was asked for it.
    from onnxlet import session
    from onnxlet.registry import Registry

    registry = Registry.open(settings, store)
    manifest = registry.expect(model, stored)
    for artifact in manifest.best(settings.variant, session.runtime()):
        registry.artifacts.begin(artifact)
    return registry
