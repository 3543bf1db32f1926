"""The loaded models: fetched once, verified, run once to warm up, then kept."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxlet.contract import layout, tensors
from onnxlet.contract.manifest import (
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    PREPROCESS_INPUT,
    PREPROCESS_OUTPUT,
    Manifest,
    Role,
)
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InferenceError, InvalidTensorError, OnnxletError
from onnxlet.registry import Registry
from onnxlet.session import Session
from onnxlet.store import Revision

logger = logging.getLogger("onnxlet")


@dataclass(frozen=True, slots=True)
class Model:
    """One loaded version: its manifest, and a session for each of its graphs."""

    manifest: Manifest
    session: Session
    preprocess: Session | None
    postprocess: Session | None

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the model on a tensor for each of its inputs.

        Args:
            inputs: The tensors, by name.
            outputs: The names of the wanted outputs; None for all.

        Raises:
            InvalidTensorError: a name, datatype or shape that the model does not declare.
            InferenceError: ONNX Runtime gave up on these tensors.
        """
        declared = {spec.name: spec for spec in self.manifest.inputs}
        _check_names("input", inputs, declared)
        for name, spec in declared.items():
            if name not in inputs:
                raise InvalidTensorError(f'input "{name}": expected {spec}, got nothing')
            tensors.check(inputs[name], spec)
        known = {spec.name: spec for spec in self.manifest.outputs}
        wanted = list(known) if outputs is None else list(outputs)
        _check_names("output", wanted, known)
        return dict(zip(wanted, self.session.run(inputs, wanted), strict=True))

    def run_images(self, images: Tensor) -> dict[str, Tensor]:
        """Run the model on decoded images.

        Args:
            images: UINT8 (batch, height, width, channels), any height and width.
        """
        if self.preprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" has no image preprocessing')
        (tensor,) = self.preprocess.run({PREPROCESS_INPUT: images}, [PREPROCESS_OUTPUT])
        return self.run({self.manifest.inputs[0].name: tensor})

    def classify(self, output: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Name the most probable classes.

        Args:
            output: The model's first output, (batch, classes).
            top_k: How many classes to name for each row; at most all.

        Returns:
            The indices, INT64, and the probabilities, FP32: both (batch, top_k), most probable first.
        """
        if self.postprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" has no labels')
        count = Tensor(DATATYPES["INT64"], (1,), memoryview(top_k.to_bytes(8, "little")))
        inputs = dict(zip(POSTPROCESS_INPUTS, (output, count), strict=True))
        indices, probabilities = self.postprocess.run(inputs, POSTPROCESS_OUTPUTS)
        return indices, probabilities

    def warm_up(self) -> None:
        """Run every graph once on zeros, so that no request pays for the first run."""
        declaration = self.manifest.preprocess
        if declaration is None:
            outputs = self.run({spec.name: tensors.zeros(spec) for spec in self.manifest.inputs})
        else:
            shape = (1, declaration.height, declaration.width, declaration.channels)
            outputs = self.run_images(tensors.zeros(TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], shape)))
        if self.postprocess is not None:
            self.classify(outputs[self.manifest.outputs[0].name], 1)


@dataclass(slots=True)
class Followed:
    """An alias that is answered for: the model that it named when it was last looked at."""

    model: Model
    revision: Revision
    checked_at_s: float
    """On the monotonic clock."""
    problem: str | None = None
    """Why the version that it names now is not the one that answers."""


class Models:
    """The models that this process has loaded. Safe for threads: a model is loaded once however many ask for it."""

    def __init__(self, registry: Registry, threads: int, refresh_s: float) -> None:
        """Take the registry to load from.

        Args:
            registry: Where the models are.
            threads: How many a session may use.
            refresh_s: How stale an alias may get.
        """
        self.registry = registry
        self._threads = threads
        self._refresh_s = refresh_s
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, int], Model] = {}
        self._followed: dict[tuple[str, str], Followed] = {}

    def get(self, name: str, alias: str = layout.LIVE) -> Model:
        """The model that an alias names, or named at most `refresh_s` ago.

        A new version takes over when it is loaded and has run once; until then, and where that fails, the old one
        answers.

        Raises:
            ModelNotFoundError, ManifestError, ArtifactError, StoreError: at the first request for the alias alone.
        """
        followed = self._followed.get((name, alias))
        if followed is None:
            followed = self._follow(name, alias)
        elif time.monotonic() - followed.checked_at_s >= self._refresh_s:
            self._refresh(name, alias, followed)
        return followed.model

    def get_version(self, name: str, version: int) -> Model:
        """One version of a model; raises as `get` does at first."""
        model = self._loaded.get((name, version))
        if model is None:
            with self._lock:
                model = self._loaded.get((name, version)) or self._load(self.registry.version(name, version))
        return model

    def problem(self, model: Model) -> str | None:
        """Why this model still answers though its alias names another version, or None."""
        followed = list(self._followed.values())  # a copy: another thread may add one meanwhile
        return next((each.problem for each in followed if each.model is model), None)

    def _follow(self, name: str, alias: str) -> Followed:
        with self._lock:
            if (name, alias) not in self._followed:
                found, revision = self.registry.alias_state(name, alias)
                model = self._load(found.manifest)
                self._followed[name, alias] = Followed(model, revision, time.monotonic())
            return self._followed[name, alias]

    def _refresh(self, name: str, alias: str, followed: Followed) -> None:
        """Look whether the alias has moved, and follow it; whoever comes meanwhile gets the old model at once."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            followed.checked_at_s = time.monotonic()
            changed = self.registry.alias_if_changed(name, alias, followed.revision)
            if changed is not None:
                old = followed.model
                followed.model = self._load(changed[0].manifest)
                followed.revision = changed[1]
                self._forget(old)
            followed.problem = None
        except OnnxletError as error:
            followed.problem = str(error)
            logger.warning("%s@%s: version %d goes on: %s", name, alias, followed.model.manifest.version, error)
        finally:
            self._lock.release()

    def _load(self, manifest: Manifest) -> Model:
        """Load a version and run it once, unless it is there already. The caller holds the lock."""
        key = (manifest.model, manifest.version)
        if key not in self._loaded:
            started = time.perf_counter()
            model = load(self.registry, manifest, self._threads)
            self._loaded[key] = model
            logger.info("loaded %s version %d in %.0f ms", *key, (time.perf_counter() - started) * 1000)
        return self._loaded[key]

    def _forget(self, model: Model) -> None:
        """Let a model go that no alias names any more; requests that run on it finish."""
        if not any(followed.model is model for followed in self._followed.values()):
            self._loaded.pop((model.manifest.model, model.manifest.version), None)


def load(registry: Registry, manifest: Manifest, threads: int) -> Model:
    """Fetch, verify and load the graphs of a version, and run them once.

    Raises:
        ArtifactError: bytes that are not the published ones, or that ONNX Runtime does not load.
        StoreError: the store does not answer.
    """

    def session(role: Role) -> Session | None:
        artifact = manifest.artifact(role)
        if artifact is None:
            return None
        with registry.open_artifact(artifact) as path:
            return Session(path, threads)

    main = session("model")
    assert main is not None, "the contract refuses a manifest without a model artifact"
    model = Model(manifest, main, session("preprocess"), session("postprocess"))
    try:
        model.warm_up()
    except (InferenceError, InvalidTensorError, MemoryError, OverflowError) as error:
        # Zeros need not be a possible input; the model may well answer a real one.
        logger.warning("%s version %d was not warmed up: %s", manifest.model, manifest.version, error)
    return model


def _check_names(kind: str, found: Mapping[str, object] | Sequence[str], declared: Mapping[str, TensorSpec]) -> None:
    for name in found:
        if name not in declared:
            raise InvalidTensorError(f'{kind} "{name}": the model has no such {kind}, expected {", ".join(declared)}')
