"""The publish gate: loads a candidate exactly as a function will, before anything is uploaded."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from obstore.store import MemoryStore

from onnxlet import record, session
from onnxlet.contract import layout, tensors
from onnxlet.contract.artifact import Role
from onnxlet.contract.declarations import PREPROCESS_INPUT, ImagePreprocess
from onnxlet.contract.generation import Generation, TextGeneration
from onnxlet.contract.golden import MAX_DIFFERENCE, PERIOD, Golden, repeated
from onnxlet.contract.tasks.texts import TextTask
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InferenceError, ManifestError, OnnxletError
from onnxlet.limits import MIB
from onnxlet.models.cache import LOAD_FACTOR
from onnxlet.models.generation import generate_images, generate_text
from onnxlet.models.loading import open_form, open_task
from onnxlet.models.model import Model
from onnxlet.protocols.generate import parse_generate
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.crash_probe import probe
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.example import with_example
from onnxlet_publishing.optimize import MAIN_VARIANT, optimize
from onnxlet_publishing.output_heads import AUTO, Finding, check_output, decide
from onnxlet_publishing.randomness import random_outputs
from onnxlet_publishing.tasks.vocabulary import check_inputs, check_vocabulary

logger = logging.getLogger("onnxlet")

IMAGE_DATATYPES = ("FP32", "FP16", "UINT8")
"""The datatypes of an input for images."""

MAX_MODEL_BYTES = 10_240 * MIB // LOAD_FACTOR
"""Size of the largest graph that fits into the largest Lambda function (10,240 MB) while it is loaded."""


@dataclass(frozen=True)
class GateResult:
    """A candidate that has passed the gate."""

    candidate: Candidate
    """The candidate with its golden example and the forms that load faster."""
    model: Model
    """The model as the functions load it."""
    finding: Finding | None = None
    """The activation that running a classifier showed; None if the candidate is not a classifier."""


def pass_gate(candidate: Candidate) -> GateResult:
    """Check a candidate and complete it: activation, crashes, examples and optimized forms.

    The last check is of the finished candidate, with every form and document that a function may meet.

    Raises:
        ModelError: The model does not fit its declarations, its size or its golden example.
        ArtifactError, ManifestError, InvalidNameError: The functions' own code refuses it.
    """
    check_size(candidate, MAX_MODEL_BYTES)
    candidate, finding = with_activation(candidate)
    _check_declarations(candidate)
    model = _load(replace(candidate, golden=None))
    probed = probe(candidate.model.data, candidate.model.inputs, [spec.name for spec in candidate.model.outputs])
    for crash in probed.crashes:
        node = f' (node "{crash.node}")' if crash.node else ""
        logger.warning("%s: %s%s ends the process: %s", candidate.source, crash.operator, node, crash.found)
    if isinstance(candidate.task, TextTask) and not probed.crashes:
        check_vocabulary(candidate.task.tokenization, model, candidate.model, candidate.source)
    candidate, inputs = with_example(replace(candidate, crashes=probed.crashes), model, probed.inputs)
    samples = (probed.inputs, inputs) if candidate.task is None else (inputs, probed.inputs)
    candidate = _with_golden(candidate, model, [sample for sample in samples if sample is not None])
    finished = with_optimized(candidate)
    return GateResult(finished, check(finished), finding)


def check(candidate: Candidate) -> Model:
    """Publish a candidate to a registry in memory, and load it from there as a function does.

    Returns:
        The loaded model.

    Raises:
        ModelError: The model does not fit its declarations, its size or its golden example.
        ArtifactError, ManifestError, InvalidNameError: The functions' own code refuses it.
    """
    _check_declarations(candidate)
    check_size(candidate, MAX_MODEL_BYTES)
    model = _load(candidate)
    if candidate.golden is not None:
        _check_golden(candidate, candidate.golden, model)
    if candidate.preprocess is not None:
        _check_images(candidate, candidate.preprocess, model)
    if candidate.generation is not None:
        _check_generation(candidate, candidate.generation, model)
    return model


def check_size(candidate: Candidate, max_bytes: int) -> None:
    """Refuse a candidate with a graph of more than `max_bytes`.

    Raises:
        ModelError: A graph is too large.
    """
    for name, data in {MAIN_VARIANT: candidate.model.data, **candidate.variants}.items():
        if len(data) > max_bytes:
            raise ModelError(
                f"{candidate.source}: {name} has {len(data) / MIB:.0f} MiB, more than the "
                f"{max_bytes / MIB:.0f} MiB that a function can load"
            )


def with_activation(candidate: Candidate) -> tuple[Candidate, Finding | None]:
    """Return the candidate with its activation decided if nobody has declared one, and the finding behind it.

    Raises:
        ModelError: The model does not fit its labels, or a variant needs another activation.
        ArtifactError: The model does not load.
    """
    classification = candidate.classification
    if classification is None:
        return candidate, None
    _check_declarations(candidate)
    finding = decide(candidate.model, classification, candidate.preprocess)
    for name, data in candidate.variants.items():
        other = decide(candidate.model, classification, candidate.preprocess, data)
        if other.is_sure and finding.is_sure and other.activation != finding.activation:
            raise ModelError(
                f"{candidate.source}: {name} needs the activation {other.activation}, but {MAIN_VARIANT} needs "
                f"{finding.activation}: {other.reason}"
            )
    if classification.activation != AUTO:
        return candidate, finding
    return replace(candidate, classification=record.replace(classification, activation=finding.activation)), finding


def with_optimized(candidate: Candidate) -> Candidate:
    """Return the candidate with each of its graphs also in the forms that load faster."""
    main, *others = candidate.graphs()  # the golden example is of the main graph
    forms = [*optimize(main, candidate.golden), *(form for graph in others for form in optimize(graph, None))]
    return replace(candidate, optimized=tuple(forms))


def _load(candidate: Candidate) -> Model:
    """Publish a candidate to a registry in memory, and load all its forms and documents as a function does.

    Raises:
        ModelError: A form of a graph does not give the golden answer.
        ArtifactError, ManifestError, InvalidNameError: The functions' own code refuses the candidate.
    """
    registry = Registry(Store("memory://gate", MemoryStore()))
    registry.publish(*candidate.to_version(), layout.LIVE, None)
    manifest = registry.resolve(candidate.name)
    registry.golden(manifest)

    def open_all(role: Role, variant: str | None = None) -> "session.Session | None":
        """Open every form; return a session of the best one."""
        best = None
        for artifact in manifest.choices(role, variant, session.runtime()):
            opened = open_form(registry, manifest, artifact, threads=1)
            best = best or opened
        return best

    try:
        main, preprocess, postprocess = open_all("model"), open_all("preprocess"), open_all("postprocess")
        for variant in candidate.variants:
            open_all("model", variant)
    except InferenceError as error:
        raise ModelError(f"{candidate.source}: a form of its graph fails: {error}") from error
    assert main is not None, "the contract refuses a manifest without a model artifact"
    task = None if manifest.task is None else open_task(registry, manifest, preprocess, postprocess)
    return Model(manifest, main, preprocess, postprocess, task)


def _with_golden(candidate: Candidate, model: Model, samples: Sequence[Mapping[str, Tensor]]) -> Candidate:
    """Return the candidate with the first golden example that can be stored, or without an example.

    Args:
        candidate: The candidate, perhaps with an example of its framework.
        model: The loaded model.
        samples: Sample inputs that the model runs on, the most telling first.

    Raises:
        ModelError: The model does not give the answers of the framework's example.
    """
    examples = _examples(candidate, model, samples)
    golden = next((stored for example in examples if (stored := _storable(example)) is not None), None)
    if golden is None:
        has_examples = bool(samples) or candidate.golden is not None
        logger.warning(
            "%s: no golden example, with which others could check its answers: %s",
            candidate.source,
            "every example is too large" if has_examples else "the model runs on none of the gate's sample inputs",
        )
    return replace(candidate, golden=golden)


def _examples(candidate: Candidate, model: Model, samples: Sequence[Mapping[str, Tensor]]) -> Iterator[Golden]:
    """Yield the framework's example and one for each sample of inputs, without random outputs.

    The last ones repeat the first numbers of the samples, because a picture or a sound is often too large to store.
    """
    uncertain = random_outputs(candidate.model.data)
    if candidate.golden is not None:
        example = _without_random(candidate.golden, model, uncertain)
        _check_golden(candidate, example, model)
        yield example
    for inputs in (*samples, *({name: _repeating(tensor) for name, tensor in sample.items()} for sample in samples)):
        with suppress(InferenceError):
            yield _without_random(Golden(inputs, model.run(inputs)), model, uncertain)


def _repeating(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape whose first elements repeat, which an example stores once."""
    size_bytes = tensor.datatype.size_bytes
    if not size_bytes:
        return tensor
    return repeated(tensor.datatype, tensor.shape, bytes(tensor.buffer[: PERIOD * size_bytes]))


def _without_random(golden: Golden, model: Model, uncertain: set[str]) -> Golden:
    """Return an example without the outputs that depend on random numbers: they differ from run to run."""
    first = model.run(golden.inputs, list(golden.outputs))
    second = model.run(golden.inputs, list(golden.outputs))
    drawn = [
        name
        for name in golden.outputs
        if name in uncertain or Golden({}, {name: first[name]}).difference(second) > MAX_DIFFERENCE
    ]
    outputs = {name: tensor for name, tensor in golden.outputs.items() if name not in drawn}
    return record.replace(golden, outputs=outputs, random=tuple(drawn))


def _storable(golden: Golden) -> Golden | None:
    """Return the example, reduced to samples of its outputs if the whole is too large; None if that is too large."""
    for example in (golden, golden.reduced()):
        with suppress(ManifestError):
            example.to_json()
            return example
    return None


def _check_golden(candidate: Candidate, golden: Golden, model: Model) -> None:
    difference = model.difference(golden)
    if difference > MAX_DIFFERENCE:
        raise ModelError(f"{candidate.source}: the functions' answer to the golden inputs is {difference:.2g} off")


def _check_images(candidate: Candidate, declaration: ImagePreprocess, model: Model) -> None:
    """Check that the model takes what its preprocessing makes; run it only if it cannot end this process."""
    shape = (1, declaration.height, declaration.width, declaration.channels)
    try:
        inputs = model.to_inputs(tensors.zeros(TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], shape)))
        for spec in model.manifest.inputs:
            tensors.check(inputs[spec.name], spec)
        if not candidate.crashes:
            model.warm_up()
    except OnnxletError as error:
        raise ModelError(f"{candidate.source}: does not take the images that it declares: {error}") from error


def _check_generation(candidate: Candidate, generation: Generation, model: Model) -> None:
    """Generate one token or one image."""
    try:
        if isinstance(generation, TextGeneration):
            generate_text(model, parse_generate({"prompt": generation.vocabulary[0], "length": 1}))
        else:
            list(generate_images(model, parse_generate({})))
    except (OnnxletError, KeyError, ValueError) as error:
        raise ModelError(f"{candidate.source}: does not generate what it declares: {error}") from error


def _check_declarations(candidate: Candidate) -> None:
    inputs = candidate.model.inputs
    if candidate.preprocess is not None and len(inputs) != 1:
        raise ModelError(f"{candidate.source}: expected one input for images, got {len(inputs)}")
    if candidate.preprocess is not None and inputs[0].datatype.name not in IMAGE_DATATYPES:
        expected = ", ".join(IMAGE_DATATYPES)
        raise ModelError(f"{candidate.source}: expected an input for images of {expected}, got {inputs[0]}")
    if isinstance(candidate.task, TextTask):
        check_inputs(candidate.task.tokenization, inputs, candidate.source)
    if candidate.classification is not None:
        check_output(candidate.model, candidate.classification, candidate.source)
