"""One loaded version of a model: its manifest, and a session for each of its graphs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxlet import session
from onnxlet.contract import tensors
from onnxlet.contract.artifact import ORT, Artifact, Role
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import (
    PIXELS_INPUT,
    PIXELS_OUTPUT,
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    PREPROCESS_INPUT,
    PREPROCESS_OUTPUT,
    Manifest,
)
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import ArtifactError, DeadlineError, InferenceError, InvalidTensorError, OnnxletError
from onnxlet.media import images
from onnxlet.registry.registry import Registry

if TYPE_CHECKING:
    from onnxlet.session import Session

logger = logging.getLogger("onnxlet")

IMAGES = TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], ("batch", "height", "width", "channels"))
"""The input of every preprocess graph."""


@dataclass(frozen=True, slots=True)
class Model:
    """One loaded version: its manifest, and a session for each of its graphs."""

    manifest: Manifest
    session: Session
    preprocess: Session | None
    postprocess: Session | None
    keeps_images: bool = False
    """Whether images are decoded in their own size, to be shown, and not in the model's."""

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
        wanted = list(known if outputs is None else dict.fromkeys(outputs))
        _check_names("output", wanted, known)
        return dict(zip(wanted, self.session.run(inputs, wanted), strict=True))

    def to_inputs(self, images: Tensor) -> dict[str, Tensor]:
        """The model's input for decoded images.

        Args:
            images: UINT8 (batch, height, width, channels), any height and width.

        Raises:
            InvalidTensorError: The tensor is not such images, or there is no pixel in it.
            InferenceError: The model declares no preprocessing, or images with another number of channels.
        """
        if self.preprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" has no image preprocessing')
        tensors.check(images, IMAGES)
        (tensor,) = self.preprocess.run({PREPROCESS_INPUT: images}, [PREPROCESS_OUTPUT])
        return {self.manifest.inputs[0].name: tensor}

    def classify(self, output: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Name the most probable classes.

        Args:
            output: The output that becomes labels, `Manifest.class_output`.
            top_k: How many classes to name for each row; at most all.

        Returns:
            The indices, INT64, and the probabilities, FP32: both (batch, top_k), most probable first.

        Raises:
            InferenceError: The model has no labels, or its output no row.
        """
        if self.postprocess is None or self.manifest.classification is None:
            raise InferenceError(f'model "{self.manifest.model}" has no labels')
        _require_elements(output)
        count = Tensor(DATATYPES["INT64"], (1,), memoryview(top_k.to_bytes(8, "little")))
        inputs = dict(zip(POSTPROCESS_INPUTS, (output, count), strict=True))
        indices, probabilities = self.postprocess.run(inputs, POSTPROCESS_OUTPUTS)
        return indices, probabilities

    def to_pixels(self, output: Tensor) -> Tensor:
        """Return the images, UINT8 (batch, height, width, channels), that a generator's output stands for.

        Raises:
            InferenceError: The model makes no images, or its output has no pixel.
        """
        if self.postprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" makes no images')
        _require_elements(output)
        (pixels,) = self.postprocess.run({PIXELS_INPUT: output}, [PIXELS_OUTPUT])
        return pixels

    def difference(self, golden: Golden) -> float:
        """How far the answer to the golden inputs is from the golden outputs; see `Golden.difference`.

        Raises:
            InvalidTensorError, InferenceError: the model cannot run on the golden inputs.
        """
        return golden.difference(self.run(golden.inputs, [*golden.compared, *golden.random]))

    def warm_up(self) -> None:
        """Run every graph once on zeros, ahead of the requests.

        Raises:
            InvalidTensorError, InferenceError: it cannot run on zeros, which need not be a possible input.
        """
        declaration = self.manifest.preprocess
        if declaration is None:
            inputs = {spec.name: tensors.zeros(spec) for spec in self.manifest.inputs}
        else:
            shape = (1, declaration.height, declaration.width, declaration.channels)
            inputs = self.to_inputs(tensors.zeros(TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], shape)))
        outputs = self.run(inputs)
        if self.postprocess is not None and self.manifest.classification is not None:
            self.classify(outputs[self.manifest.class_output()], 1)


def load(registry: Registry, manifest: Manifest, threads: int, variant: str | None = None) -> Model:
    """Fetch, verify and load the graphs of a version, each in the best form that this process can load.

    Args:
        registry: Where they are.
        manifest: The version.
        threads: How many a session may use.
        variant: Which of the model's graphs, where the version has this one; else its first.

    Raises:
        ArtifactError: bytes that are not the published ones, or that ONNX Runtime does not load.
        StoreError: the store does not answer.
    """
    wanted = [artifact.blob for artifact in manifest.best(variant, session.runtime())]
    for blob in wanted:
        registry.artifacts.begin(blob)
    if manifest.preprocess is not None:
        images.prepare()  # while the bytes are on their way

    def open_best(role: Role) -> Session | None:
        return _open_best(registry, manifest, manifest.choices(role, variant, session.runtime()), threads)

    try:
        preprocess, postprocess, main = open_best("preprocess"), open_best("postprocess"), open_best("model")
    finally:
        registry.artifacts.forget(wanted)  # where one failed, nobody reads what follows it
    assert main is not None, "the contract refuses a manifest without a model artifact"
    return Model(manifest, main, preprocess, postprocess)


def _open_best(registry: Registry, manifest: Manifest, choices: list[Artifact], threads: int) -> Session | None:
    """Return a session of the first of these that loads and can be checked; raise as `load` does if none does.

    Whatever is wrong with a form or with what it is checked by, the next form may be right.
    """
    for artifact in choices:
        try:
            return open_form(registry, manifest, artifact, threads)
        except DeadlineError:
            raise
        except OnnxletError as error:
            if artifact is choices[-1]:
                raise
            logger.warning("%s version %d: another form is loaded: %s", manifest.model, manifest.version, error)
    return None


def open_form(registry: Registry, manifest: Manifest, artifact: Artifact, threads: int) -> Session:
    """Fetch and load one form of a graph, and check it where nothing else says that it fits this CPU.

    Raises:
        ArtifactError, StoreError: as `load`.
        ManifestError: the golden example breaks the contract.
        InferenceError: the form does not run on the golden inputs.
    """
    golden = registry.golden(manifest) if artifact.must_be_checked else None  # it comes sooner than the graph
    found = session.open_session(registry.artifacts.read(artifact), threads, is_ort=artifact.format == ORT)
    if golden is not None:
        _check(found, artifact, golden)
    return found


def _check(found: Session, artifact: Artifact, golden: Golden) -> None:
    """Compare a session with the golden example.

    Raises:
        ArtifactError: its answer is another one, or cannot be compared.
        InferenceError: it does not run on the golden inputs.
    """
    if not golden.compared:
        raise ArtifactError(f"{artifact.role} artifact for {artifact.cpu}: no output of its model can be compared")
    difference = golden_difference(found, golden)
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(f"{artifact.role} artifact for {artifact.cpu}: its golden answer is {difference:.2g} off")


def golden_difference(found: Session, golden: Golden) -> float:
    """How far a session's answer to the golden inputs is from the golden outputs; see `Golden.difference`.

    Raises:
        InferenceError: it cannot run on the golden inputs.
    """
    names = [*golden.compared, *golden.random]
    return golden.difference(dict(zip(names, found.run(golden.inputs, names), strict=True)))


def _require_elements(output: Tensor) -> None:
    """Refuse an output without elements as the input of a postprocess graph.

    Raises:
        InferenceError: A dimension of it is 0.
    """
    if 0 in output.shape:
        raise InferenceError(f"expected an output of the model with at least one element, got the shape {output.shape}")


def _check_names(kind: str, found: Mapping[str, object] | Sequence[str], declared: Mapping[str, TensorSpec]) -> None:
    for name in found:
        if name not in declared:
            raise InvalidTensorError(f'{kind} "{name}": the model has no such {kind}, expected {", ".join(declared)}')
