"""Prefetch: the function fetches its default model while it still imports the modules that will run it.

Only the modules that talk to the store are imported before the first request to it. If `ONNXLET_PREFETCH` names the
blobs to expect, their fetches run at the same time as the alias's, which then shows whether they are the right ones.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet import notices
from onnxlet.contract import hashing, layout
from onnxlet.errors import OnnxletError
from onnxlet.storage import Stored, open_store

if TYPE_CHECKING:
    from onnxlet.contract.blob import Blob
    from onnxlet.registry.artifacts import Artifacts
    from onnxlet.registry.reader import RegistryReader
    from onnxlet.settings import Settings

SWITCH_S = 0.0005
"""Switch interval while this thread and imports share the interpreter: Python's 5 ms are as long as a network hop."""


class Prefetch(threading.Thread):
    """A thread that fetches the default model's alias and then its artifacts."""

    def __init__(self, settings: Settings, model: str) -> None:
        """Open the registry's store.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL is malformed, or its folder does not exist.
        """
        super().__init__(name="prefetch", daemon=True)
        self._settings = settings
        self._model = model
        self._store = open_store(settings.registry, settings.storage)
        self._artifacts: Artifacts | None = None
        self._expected: list[Blob] = []
        self._has_begun = threading.Event()
        self._registry: RegistryReader | None = None

    def begin_expected(self) -> None:
        """Start to fetch the blobs that `ONNXLET_PREFETCH` names; if that fails, log a warning and go without."""
        from onnxlet.registry.artifacts import Artifacts  # imported while the alias is fetched

        self._artifacts = Artifacts(self._store)
        try:
            self._expected = _expected(self._settings.prefetch)
            for blob in self._expected:
                self._artifacts.begin(blob)
        except (ValueError, OSError, MemoryError) as error:
            notices.warning("ONNXLET_PREFETCH: %s", error)
        finally:
            self._has_begun.set()

    def run(self) -> None:
        """Read the alias, and start to fetch its artifacts. The registry's first caller will meet any error again."""
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

    def registry(self) -> RegistryReader | None:
        """Return the registry that holds the fetched alias and artifacts; None if that failed."""
        self.join()
        return self._registry

    def _open(self, stored: Stored) -> RegistryReader:
        """Return a registry that holds the alias just read, and start to fetch the artifacts that it names."""
        # These modules are imported while the alias is fetched.
        from onnxlet import session
        from onnxlet.registry.reader import RegistryReader

        registry = RegistryReader(self._store, self._artifacts)
        manifest = registry.expect(self._model, stored)
        blobs = [artifact.blob for artifact in manifest.best(self._settings.variant, session.runtime())]
        registry.artifacts.forget(set(self._expected) - set(blobs))
        for blob in blobs:
            registry.artifacts.begin(blob)
        return registry


def begin(settings: Settings) -> Prefetch | None:
    """Start to fetch the default model.

    Returns:
        The running prefetch, or None: without a default model; with a disk cache, which may have it; if a server will
        fork its workers from this process, where the threads would end; or if the registry cannot be opened, which the
        first request will report.
    """
    if settings.model is None or settings.cache is not None or settings.is_preforked:
        return None
    try:
        prefetch = Prefetch(settings, settings.model)
    except OnnxletError:
        return None
    prefetch.start()
    prefetch.begin_expected()
    threading.Thread(target=_prepare, name="prepare", daemon=True).start()
    return prefetch


def _prepare() -> None:
    """Load OpenSSL and ONNX Runtime while the store is waited for and other modules are imported."""
    from onnxlet import session

    hashing.sha256()
    with suppress(OnnxletError):  # the first session will raise it
        session.prepare()


def _expected(text: str | None) -> list[Blob]:
    """Return the blobs that a line of `contract.expectation` names for this machine's CPU.

    Raises:
        ValueError: the line is malformed.
    """
    if text is None:
        return []
    from onnxlet import session
    from onnxlet.contract import expectation

    return expectation.parse(text, session.cpu_class())
