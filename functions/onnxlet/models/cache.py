"""The cache of loaded models: each loads once for all requests, and the least recently used are unloaded first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from onnxlet import notices, session
from onnxlet.contract.artifact import GRAPH_ROLES
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InferenceError, InvalidTensorError, MemoryBoundError, UntrustedModelError
from onnxlet.limits import MIB, deadline, memory
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.models.trust import require_trust
from onnxlet.record import Record
from onnxlet.registry.reader import RegistryReader

LOAD_FACTOR = 6
"""The memory that loading a model takes for a moment, in multiples of its artifacts' size.

It holds the bytes, the parsed graph, the session's weights, the same weights prepacked, and what the C library has not
returned yet. Measured; `tests/test_catalogue.py` checks it.
"""


class Loaded(Record):
    """A loaded model and the memory that it was measured to take."""

    model: Model
    size_bytes: int


class Models:
    """The models that this process has loaded. Safe for threads."""

    def __init__(
        self,
        registry: RegistryReader,
        threads: int,
        bound_bytes: int | None = None,
        variant: str | None = None,
        public_keys: Sequence[bytes] = (),
    ) -> None:
        """Start with no model loaded.

        Args:
            registry: The registry that models are loaded from.
            threads: The number of threads that a session may use.
            bound_bytes: The memory that all loaded models together may take; None for no bound.
            variant: The variant to load of a version that has it.
            public_keys: The keys of trusted publishers, one of which must have signed a version; none trusts all.
        """
        self.registry = registry
        self._threads = threads
        self._variant = variant
        self._public_keys = public_keys
        self._bound_bytes = bound_bytes
        self._base_bytes = memory.resident_bytes()
        self._loading = threading.Lock()  # one load at a time: otherwise memory could neither be measured nor bounded
        self._changing = threading.Lock()
        self._loaded: OrderedDict[tuple[str, int], Loaded] = OrderedDict()
        """The loaded models by name and version, the least recently used first."""

    def get(self, manifest: Manifest, *, is_ahead: bool = False) -> Model:
        """Return the model of a manifest, and load it unless it is loaded.

        Args:
            manifest: The manifest of the version.
            is_ahead: Whether no request waits for the model. Then it also runs once after it was loaded; a request that
                waits would only lose time by that.

        Raises:
            ArtifactError, StoreError: as `model.load`.
            UntrustedModelError: no trusted key has signed the version.
            MemoryBoundError: the model is larger than the bound.
            DeadlineError: the model could not be loaded in time.
        """
        key = (manifest.model, manifest.version)
        model = self._find(key)
        if model is None:
            with deadline.locked(self._loading):
                model = self._find(key) or self._load(key, manifest, is_ahead=is_ahead)
        return model

    def get_version(self, name: str, version: int) -> Model:
        """Return one version of a model; raise as `get` does, or as `RegistryReader.version` if it is not loaded."""
        return self._find((name, version)) or self.get(self.registry.version(name, version))

    def discard(self, manifest: Manifest) -> None:
        """Unload a model and return its memory to the system; requests that run on it finish."""
        with self._changing:
            was_loaded = self._loaded.pop((manifest.model, manifest.version), None) is not None
        if was_loaded:
            memory.give_back()

    def loaded(self) -> list[Loaded]:
        """Return the loaded models, the least recently used first."""
        with self._changing:
            return list(self._loaded.values())

    def _find(self, key: tuple[str, int]) -> Model | None:
        with self._changing:
            loaded = self._loaded.get(key)
            if loaded is not None:
                self._loaded.move_to_end(key)
        return None if loaded is None else loaded.model

    def _load(self, key: tuple[str, int], manifest: Manifest, *, is_ahead: bool) -> Model:
        """Load a model into the memory that the bound leaves. The caller holds the lock for loading."""
        artifact_bytes = self._require_loadable(manifest)
        if self._bound_bytes is not None:
            self._unload_until(self._bound_bytes - LOAD_FACTOR * artifact_bytes)
        started = time.perf_counter()
        before_bytes = memory.resident_bytes()
        model = load(self.registry, manifest, self._threads, self._variant)
        if is_ahead:
            run_ahead(model)
        if self._loaded and self._bound_bytes is not None:  # not for the first model: a cold start waits for it
            memory.give_back()
        size_bytes = max(artifact_bytes, memory.resident_bytes() - before_bytes)
        with self._changing:
            self._loaded[key] = Loaded(model, size_bytes)
        if self._bound_bytes is not None:
            self._unload_until(self._bound_bytes)
        milliseconds = (time.perf_counter() - started) * 1000
        notices.info("loaded %s version %d in %.0f ms, %.1f MiB", *key, milliseconds, size_bytes / MIB)
        return model

    def _require_loadable(self, manifest: Manifest) -> int:
        """Return the size of a version's graphs in bytes, unless it is not trusted or larger than the bound.

        A prefetch may already be downloading the artifacts; those of a refused version are dropped.
        """
        chosen = manifest.best(self._variant, session.runtime())
        size_bytes = sum(artifact.size_bytes for artifact in chosen if artifact.role in GRAPH_ROLES)
        try:
            require_trust(manifest, self._public_keys)
            self._require_fit(manifest, size_bytes)
        except (UntrustedModelError, MemoryBoundError):
            self.registry.artifacts.forget(artifact.blob for artifact in chosen)
            raise
        return size_bytes

    def _require_fit(self, manifest: Manifest, size_bytes: int) -> None:
        if self._bound_bytes is not None and size_bytes > self._bound_bytes:
            raise MemoryBoundError(
                f"{manifest.model} version {manifest.version} has {size_bytes / MIB:.0f} MiB of graphs, "
                f"more than the {self._bound_bytes / MIB:.0f} MiB of ONNXLET_MEMORY_MIB"
            )

    def _unload_until(self, bound_bytes: int) -> None:
        """Unload the least recently used models until the others fit; the most recent one always stays."""
        while self._taken_bytes() > bound_bytes:
            with self._changing:
                if len(self._loaded) < 2:
                    return
                self._loaded.popitem(last=False)
            memory.give_back()

    def _taken_bytes(self) -> int:
        """Return the memory that the models take: their measured sizes or the process's growth, whichever is more."""
        measured_bytes = sum(loaded.size_bytes for loaded in self.loaded())
        return max(measured_bytes, memory.resident_bytes() - self._base_bytes)


def run_ahead(model: Model) -> None:
    """Run a model once before any request, so that its memory is allocated and its weights are read.

    A model that the publish gate found to crash on some inputs is not run: zeros might be such inputs.
    """
    if model.manifest.crashes:
        return
    try:
        model.warm_up()
    except (InferenceError, InvalidTensorError, MemoryError, OverflowError) as error:
        # Zeros need not be a possible input; the model may still answer a real one.
        notices.warning("%s version %d was not run ahead: %s", model.manifest.model, model.manifest.version, error)
