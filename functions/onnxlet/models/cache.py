"""The loaded models: each fetched once however many ask for it, and the least recently used let go for others."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from onnxlet import deadline, memory, session
from onnxlet.contract.artifact import GRAPH_ROLES
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InferenceError, InvalidTensorError, MemoryBoundError, UntrustedModelError
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.registry.registry import Registry

logger = logging.getLogger("onnxlet")

MIB = 1024 * 1024

LOAD_FACTOR = 6
"""What loading a model takes for a moment, in multiples of its artifacts: the bytes, the parsed graph, the session's
weights, the same prepacked, and what the C library has not returned yet. Measured; tests/test_catalogue.py holds it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model and the memory that it was measured to take."""

    model: Model
    size_bytes: int


class Models:
    """The models that this process has loaded. Safe for threads."""

    def __init__(
        self,
        registry: Registry,
        threads: int,
        bound_bytes: int | None = None,
        variant: str | None = None,
        public_keys: Sequence[bytes] = (),
    ) -> None:
        """Take the registry to load from.

        Args:
            registry: Where the models are.
            threads: How many a session may use.
            bound_bytes: What the loaded models may take together; None for no bound.
            variant: Which graph of a model is loaded, where a version has this one.
            public_keys: By one of which a version must be signed, where there are any.
        """
        self.registry = registry
        self._threads = threads
        self._variant = variant
        self._public_keys = public_keys
        self._bound_bytes = bound_bytes
        self._base_bytes = memory.resident_bytes()
        self._loading = threading.Lock()  # one at a time: memory could not be measured otherwise, nor bounded
        self._changing = threading.Lock()
        self._loaded: OrderedDict[tuple[str, int], Loaded] = OrderedDict()
        """By name and version, the least recently used first."""

    def get(self, manifest: Manifest, *, is_ahead: bool = False) -> Model:
        """The model of a manifest, loaded unless it is there already.

        Args:
            manifest: The version.
            is_ahead: Whether no request waits for it: then it is also run once, where it is loaded. To a request that
                waits a run before its own would only be a loss.

        Raises:
            ArtifactError, StoreError: as `model.load`.
            UntrustedModelError: it is not signed by whom this function trusts.
            MemoryBoundError: it is larger than the bound.
            DeadlineError: it was not there before the time was over.
        """
        key = (manifest.model, manifest.version)
        model = self._find(key)
        if model is None:
            with deadline.holding(self._loading):
                model = self._find(key) or self._load(key, manifest, is_ahead=is_ahead)
        return model

    def get_version(self, name: str, version: int) -> Model:
        """One version of a model; raises as `get` does, or as `Registry.version` where it is not loaded."""
        return self._find((name, version)) or self.get(self.registry.version(name, version))

    def require_trust(self, manifest: Manifest) -> None:
        """Refuse a version that is not signed by whom this function trusts: what it runs or hands out comes by here.

        Raises:
            UntrustedModelError: it is not.
        """
        if self._public_keys:
            from onnxlet.contract import signature  # few functions ask for one

            signature.require(manifest, self._public_keys)

    def discard(self, manifest: Manifest) -> None:
        """Let a model go, and its memory; requests that run on it finish."""
        with self._changing:
            was_loaded = self._loaded.pop((manifest.model, manifest.version), None) is not None
        if was_loaded:
            memory.give_back()

    def loaded(self) -> list[Loaded]:
        """What is loaded now, the least recently used first."""
        with self._changing:
            return list(self._loaded.values())

    def _find(self, key: tuple[str, int]) -> Model | None:
        with self._changing:
            found = self._loaded.get(key)
            if found is not None:
                self._loaded.move_to_end(key)
        return None if found is None else found.model

    def _load(self, key: tuple[str, int], manifest: Manifest, *, is_ahead: bool) -> Model:
        """Load a model into what is left of the bound. The caller holds the lock for loading."""
        chosen = manifest.best(self._variant, session.runtime())
        try:
            self.require_trust(manifest)
        except UntrustedModelError:
            self.registry.artifacts.forget(artifact.blob for artifact in chosen)  # it may have been expected
            raise
        artifact_bytes = sum(artifact.size_bytes for artifact in chosen if artifact.role in GRAPH_ROLES)
        if self._bound_bytes is not None:
            if artifact_bytes > self._bound_bytes:
                self.registry.artifacts.forget(artifact.blob for artifact in chosen)  # it may have been expected
                raise MemoryBoundError(
                    f"{manifest.model} version {manifest.version} has {artifact_bytes / MIB:.0f} MiB of graphs, "
                    f"more than the {self._bound_bytes / MIB:.0f} MiB of ONNXLET_MEMORY_MIB"
                )
            self._make_room(self._bound_bytes - LOAD_FACTOR * artifact_bytes)
        started = time.perf_counter()
        before_bytes = memory.resident_bytes()
        model = load(self.registry, manifest, self._threads, self._variant)
        if is_ahead:
            run_ahead(model)
        if self._loaded and self._bound_bytes is not None:  # not for the first one: a cold start waits for it
            memory.give_back()
        size_bytes = max(artifact_bytes, memory.resident_bytes() - before_bytes)
        with self._changing:
            self._loaded[key] = Loaded(model, size_bytes)
        if self._bound_bytes is not None:
            self._make_room(self._bound_bytes)
        milliseconds = (time.perf_counter() - started) * 1000
        logger.info("loaded %s version %d in %.0f ms, %.1f MiB", *key, milliseconds, size_bytes / MIB)
        return model

    def _make_room(self, bound_bytes: int) -> None:
        """Let the least recently used models go until the others fit; the last one to come stays in any case."""
        while self._taken_bytes() > bound_bytes:
            with self._changing:
                if len(self._loaded) < 2:
                    return
                self._loaded.popitem(last=False)
            memory.give_back()

    def _taken_bytes(self) -> int:
        """What the models take: as each was measured, or as the process has grown, whichever is more."""
        measured_bytes = sum(loaded.size_bytes for loaded in self.loaded())
        return max(measured_bytes, memory.resident_bytes() - self._base_bytes)


def run_ahead(model: Model) -> None:
    """Run a model once before any request, which then finds its memory taken and its weights read.

    A model that was found to end the process on some inputs is left alone: zeros might be such inputs.
    """
    if model.manifest.crashes:
        return
    try:
        model.warm_up()
    except (InferenceError, InvalidTensorError, MemoryError, OverflowError) as error:
        # Zeros need not be a possible input; the model may well answer a real one.
        logger.warning("%s version %d was not run ahead: %s", model.manifest.model, model.manifest.version, error)
