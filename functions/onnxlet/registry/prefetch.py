"""The prefetch: the default model is on its way from the store while the process still imports what will run it.

Only what is needed to ask the store is imported before it is asked. Where the function was told which blobs to expect,
they are on their way while the alias is, which then says whether they are the ones.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.errors import OnnxletError
from onnxlet.storage import Stored, open_store

if TYPE_CHECKING:
    from onnxlet.contract.blob import Blob
    from onnxlet.registry.artifacts import Artifacts
    from onnxlet.registry.registry import Registry
    from onnxlet.settings import Settings

logger = logging.getLogger("onnxlet")

SWITCH_S = 0.0005
"""How long an import may keep this thread from its next step; Python's 5 ms are as long as a step of the network."""


class Prefetch(threading.Thread):
    """The default model's alias on its way, and its artifacts."""

    def __init__(self, settings: Settings, model: str) -> None:
        """Take what to fetch; `start` begins.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL leads nowhere.
        """
        super().__init__(name="prefetch", daemon=True)
        self._settings = settings
        self._model = model
        self._store = open_store(settings.registry, settings.storage)
        self._artifacts: Artifacts | None = None
        self._expected: list[Blob] = []
        self._has_begun = threading.Event()
        self._registry: Registry | None = None

    def begin_expected(self) -> None:
        """Begin to fetch what the function was told to expect; where that cannot be, it starts without."""
        from onnxlet.registry.artifacts import Artifacts  # imported while the store is asked for the alias

        self._artifacts = Artifacts(self._store)
        try:
            self._expected = _expected(self._settings.prefetch)
            for blob in self._expected:
                self._artifacts.begin(blob)
        except (ValueError, OSError, MemoryError) as error:
            logger.warning("ONNXLET_PREFETCH: %s", error)
        finally:
            self._has_begun.set()

    def run(self) -> None:
        """Read the alias, and begin to fetch what it names. What fails here will fail again for who needs it."""
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            stored = self._store.read(layout.alias_key(self._model, layout.LIVE))
            self._has_begun.wait()
            self._registry = self._open(stored)
        except OnnxletError:
            return
        finally:
            sys.setswitchinterval(usual_s)

    def registry(self) -> Registry | None:
        """The registry in which it is under way; None where it failed."""
        self.join()
        return self._registry

    def _open(self, stored: Stored) -> Registry:
        """The registry, with an alias that was just read, and with the artifacts that it names on their way."""
        # What reads the document is imported while the store was asked for it.
        from onnxlet import session
        from onnxlet.registry.registry import Registry

        registry = Registry(self._store, self._artifacts)
        manifest = registry.expect(self._model, stored)
        wanted = [artifact.blob for artifact in manifest.best(self._settings.variant, session.runtime())]
        registry.artifacts.forget(set(self._expected) - set(wanted))
        for blob in wanted:
            registry.artifacts.begin(blob)
        return registry


def begin(settings: Settings) -> Prefetch | None:
    """Begin to fetch the default model.

    Returns:
        None where nothing was begun: without a default model, with a disk that may have it, in a process whose threads
        end when a server forks its workers from it, and where the registry cannot be opened, which its user will say.
    """
    if settings.model is None or settings.cache is not None or settings.is_preforked:
        return None
    try:
        prefetch = Prefetch(settings, settings.model)
    except OnnxletError:
        return None
    prefetch.start()
    prefetch.begin_expected()
    threading.Thread(target=_prepare_session, name="prepare", daemon=True).start()
    return prefetch


def _prepare_session() -> None:
    """Load ONNX Runtime, for the most part outside of Python, while Python imports the rest."""
    from onnxlet import session

    with suppress(OnnxletError):  # the first session will say it
        session.prepare()


def _expected(text: str | None) -> list[Blob]:
    """The blobs that a line names for this machine.

    Raises:
        ValueError: not such a line.
    """
    if text is None:
        return []
    from onnxlet import session
    from onnxlet.contract import expectation

    return expectation.parse(text, session.cpu_class())
