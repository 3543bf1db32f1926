"""Publish: a candidate passes the gate and becomes a version in the registry."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from obstore.store import MemoryStore

from onnxlet import session
from onnxlet.contract import layout, tensors
from onnxlet.contract.artifact import JSON, Artifact, Role
from onnxlet.contract.generation import Generation, ImageGeneration, TextGeneration
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import (
    PREPROCESS_INPUT,
    Classification,
    Crash,
    ImagePreprocess,
    Manifest,
    Provenance,
)
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.contract.training_statistics import Reference
from onnxlet.errors import ArtifactError, InferenceError, ManifestError, ModelNotFoundError, OnnxletError
from onnxlet.models.cache import LOAD_FACTOR, MIB
from onnxlet.models.model import Model, open_form
from onnxlet.protocols import generate
from onnxlet.record import replace
from onnxlet.registry.registry import Registry, Sign
from onnxlet.storage import Store
from onnxlet_publishing.graphs import pixels_graph, postprocess_graph, preprocess_graph
from onnxlet_publishing.heads import AUTO, Finding, check_output, decide, scores_of
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import Graph, optimize
from onnxlet_publishing.probe import probe
from onnxlet_publishing.random_numbers import random_outputs

logger = logging.getLogger("onnxlet")

MAIN_VARIANT = "fp32"
"""The first of a version's graphs: what is served where nothing else is asked for."""

MAX_MODEL_BYTES = 10_240 * MIB // LOAD_FACTOR
"""Of one graph: more does not fit the largest Lambda function (10,240 MB) while it is loaded."""

LOOK_BACK = 20
"""How many of the newest versions may be those of an earlier attempt to publish the same candidate."""


@dataclass(frozen=True)
class Candidate:
    """What may become a version: a model, how it is used, how good it is and where it came from."""

    name: str
    model: OnnxFile
    source: str
    """`recipe:<name>`, or the name of the file that was brought."""
    preprocess: ImagePreprocess | None = None
    classification: Classification | None = None
    generation: Generation | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reference: Reference | None = None
    """What requests will be held against."""
    data_sha256: str | None = None
    seed: int | None = None
    frameworks: Mapping[str, str] = field(default_factory=dict)
    git_revision: str | None = None
    variants: Mapping[str, bytes] = field(default_factory=dict)
    """Other graphs of the same model, by their names: `int8`, `student` ..."""
    optimized: tuple[Graph, ...] = ()
    """Its graphs in forms that load sooner, beside the portable ones."""
    golden: Golden | None = None
    """What the model must answer, by its own framework; None takes what the functions' runtime answers at the gate."""
    crashes: tuple[Crash, ...] = ()
    """What the gate has found to end a process that runs the model."""
    publication: str = field(default_factory=lambda: os.urandom(16).hex())
    """By which the publisher knows its own version again, and publishes it once however often it tries."""


@dataclass(frozen=True)
class Passed:
    """What the gate has let through."""

    candidate: Candidate
    """With its golden example, and the forms that load sooner."""
    model: Model
    """As the functions have loaded it."""
    finding: Finding | None = None
    """What a classifier's numbers were found to be, by running it."""


def publish(
    registry: Registry, candidate: Candidate, alias: str | None = layout.LIVE, sign: Sign | None = None
) -> Manifest:
    """Let a candidate through the gate and store it as the next version; raises as `publish_all`."""
    return publish_all(registry, [candidate], alias, sign)[0]


def publish_all(
    registry: Registry, candidates: list[Candidate], alias: str | None = layout.LIVE, sign: Sign | None = None
) -> list[Manifest]:
    """Let all candidates through the gate, then store each as its model's next version, signed where `sign` does that.

    Raises:
        ArtifactError, InvalidNameError: one was refused, and nothing was uploaded.
        StoreError: the store does not answer.
    """
    return store_all(registry, [pass_gate(candidate) for candidate in candidates], alias, sign)


def pass_gate(candidate: Candidate) -> Passed:
    """Let a candidate through the gate, and make of it what is stored; raises as `check`.

    What is checked last is the finished candidate, with all the forms and documents that a function may meet.
    """
    _check_size(candidate, MAX_MODEL_BYTES)
    candidate, finding = with_activation(candidate)
    _check_declarations(candidate)
    model = _load(dataclasses.replace(candidate, golden=None))
    probed = probe(candidate.model.data, candidate.model.inputs, [spec.name for spec in candidate.model.outputs])
    for crash in probed.crashes:
        node = f' (node "{crash.node}")' if crash.node else ""
        logger.warning("%s: %s%s ends the process: %s", candidate.source, crash.operator, node, crash.found)
    candidate = with_golden(dataclasses.replace(candidate, crashes=probed.crashes), model, probed.inputs)
    finished = with_optimized(candidate)
    return Passed(finished, check(finished), finding)


def with_activation(candidate: Candidate) -> tuple[Candidate, Finding | None]:
    """Return the candidate with its activation decided, where nobody has declared one, and what was found.

    Raises:
        ArtifactError: the model does not load, does not fit its labels, or its variants answer in another way.
    """
    classification = candidate.classification
    if classification is None:
        return candidate, None
    _check_declarations(candidate)
    finding = decide(candidate.model, classification, candidate.preprocess)
    for name, data in candidate.variants.items():
        found = decide(candidate.model, classification, candidate.preprocess, data)
        if found.is_sure and finding.is_sure and found.activation != finding.activation:
            raise ArtifactError(
                f"{candidate.source}: {name} needs the activation {found.activation}, where {MAIN_VARIANT} needs "
                f"{finding.activation}: {found.reason}"
            )
    if classification.activation != AUTO:
        return candidate, finding
    classification = replace(classification, activation=finding.activation)
    return dataclasses.replace(candidate, classification=classification), finding


def store_all(
    registry: Registry, passed: list[Passed], alias: str | None = layout.LIVE, sign: Sign | None = None
) -> list[Manifest]:
    """Store each of these as its model's next version, signed where `sign` does that.

    Raises:
        StoreError: the store does not answer.
    """
    return [_store(registry, each.candidate, alias, sign) for each in passed]


def copy_version(
    source: Registry,
    manifest: Manifest,
    target: Registry,
    alias: str | None = layout.LIVE,
    sign: Sign | None = None,
) -> Manifest:
    """Store a version of one registry, whose gate it has passed, as another's next version, unless it is there already.

    A signature is of a version's number too, and is not copied: `sign` makes another.

    Raises:
        ArtifactError: its bytes are not the published ones.
        StoreError: a store does not answer.
    """
    earlier = find_published(target, manifest.model, manifest.provenance.publication, sign)
    if earlier is not None:
        return _finish(target, earlier, alias)
    blobs = {artifact.sha256: bytes(source.artifacts.read(artifact)) for artifact in manifest.artifacts}
    return target.publish(manifest, blobs, alias, sign)


def find_published(registry: Registry, name: str, publication: str, sign: Sign | None = None) -> Manifest | None:
    """The version that an earlier attempt to publish has left, among the newest; None where there is none.

    Where versions are signed, it is one that `sign` would have made.
    """
    for version in reversed(registry.versions(name)[-LOOK_BACK:]):
        manifest = registry.version(name, version)
        if manifest.provenance.publication == publication and (sign is None or sign(manifest) == manifest):
            return manifest
    return None


def check(candidate: Candidate) -> Model:
    """The gate: publish to a registry in memory, and load from there as a function does.

    Returns:
        The model, loaded.

    Raises:
        ArtifactError: the functions' runtime cannot load it, or it does not fit its declarations.
        ManifestError: its declarations break the contract.
        InvalidNameError: not a possible name.
    """
    _check_declarations(candidate)
    _check_size(candidate, MAX_MODEL_BYTES)
    model = _load(candidate)
    if candidate.golden is not None:
        _check_golden(candidate, candidate.golden, model)
    if candidate.preprocess is not None:
        _check_images(candidate, model)
    if candidate.generation is not None:
        _check_generates(candidate, candidate.generation, model)
    return model


def _load(candidate: Candidate) -> Model:
    """Publish a candidate to a registry in memory, and load every form and document of it as a function does.

    Raises:
        ArtifactError: a graph cannot be loaded, or does not give the golden answer.
        ManifestError: a document that a function would refuse.
    """
    registry = Registry(Store("memory://gate", MemoryStore()))
    _store(registry, candidate, layout.LIVE)
    manifest = registry.resolve(candidate.name)
    registry.golden(manifest)

    def open_all(role: Role, variant: str | None = None) -> "session.Session | None":
        """Return a session of the best form, after every form has been opened."""
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
        raise ArtifactError(f"{candidate.source}: a form of its graph fails: {error}") from error
    assert main is not None, "the contract refuses a manifest without a model artifact"
    return Model(manifest, main, preprocess, postprocess)


def with_golden(candidate: Candidate, model: Model, inputs: Mapping[str, Tensor] | None) -> Candidate:
    """Return the candidate with a golden example that can be stored, or without one.

    Args:
        candidate: What is to be published; it may have an example of its framework's.
        model: The model, loaded.
        inputs: Made-up inputs that it runs on; None where there are none.

    Raises:
        ArtifactError: the framework's own example is another one.
    """
    uncertain = random_outputs(candidate.model.data)
    examples = []
    if candidate.golden is not None:
        examples.append(_certain(candidate.golden, model, uncertain))
        _check_golden(candidate, examples[0], model)
    if inputs is not None:
        examples.append(_certain(Golden(inputs, model.run(inputs)), model, uncertain))
    golden = next((found for example in examples if (found := _storable(example)) is not None), None)
    if golden is None:
        logger.warning(
            "%s: no golden example, by which others know its answers: %s",
            candidate.source,
            "it is too large" if examples else "the model runs on none of the inputs that the gate makes up",
        )
    return dataclasses.replace(candidate, golden=golden)


def _certain(golden: Golden, model: Model, uncertain: set[str]) -> Golden:
    """Return an example without the outputs for which the model draws random numbers: they differ each time."""
    again = model.run(golden.inputs, list(golden.outputs))
    twice = model.run(golden.inputs, list(golden.outputs))
    drawn = [
        name
        for name in golden.outputs
        if name in uncertain or Golden({}, {name: again[name]}).difference(twice) > MAX_DIFFERENCE
    ]
    outputs = {name: tensor for name, tensor in golden.outputs.items() if name not in drawn}
    return replace(golden, outputs=outputs, random=tuple(drawn))


def _storable(golden: Golden) -> Golden | None:
    """The golden example, with samples of its outputs where it is too large to be stored; None where it stays so."""
    for each in (golden, golden.reduced()):
        with suppress(ManifestError):
            each.to_json()
            return each
    return None


def with_optimized(candidate: Candidate) -> Candidate:
    """The candidate with each of its graphs also in the forms that load sooner."""
    main, *others = _graphs(candidate)  # the golden example is the main one's
    found = [*optimize(main, candidate.golden), *(each for graph in others for each in optimize(graph, None))]
    return dataclasses.replace(candidate, optimized=tuple(found))


def _check_golden(candidate: Candidate, golden: Golden, model: Model) -> None:
    difference = model.difference(golden)
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(f"{candidate.source}: the functions' answer to the golden inputs is {difference:.2g} off")


def _check_images(candidate: Candidate, model: Model) -> None:
    """The model takes what its preprocessing makes; it is run only where that cannot end this process."""
    declaration = candidate.preprocess
    assert declaration is not None, "the caller has looked"
    shape = (1, declaration.height, declaration.width, declaration.channels)
    try:
        inputs = model.to_inputs(tensors.zeros(TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], shape)))
        for spec in model.manifest.inputs:
            tensors.check(inputs[spec.name], spec)
        if not candidate.crashes:
            model.warm_up()
    except OnnxletError as error:
        raise ArtifactError(f"{candidate.source}: does not take the images that it declares: {error}") from error


def _check_generates(candidate: Candidate, generation: Generation, model: Model) -> None:
    """Make one token, or one image."""
    try:
        if isinstance(generation, TextGeneration):
            generate.generate_text(model, generate.parse_generate({"prompt": generation.vocabulary[0], "length": 1}))
        else:
            generate.generate_images(model, generate.parse_generate({}))
    except (OnnxletError, KeyError, ValueError) as error:
        raise ArtifactError(f"{candidate.source}: does not generate what it declares: {error}") from error


def _check_declarations(candidate: Candidate) -> None:
    if candidate.preprocess is not None and len(candidate.model.inputs) != 1:
        raise ArtifactError(f"{candidate.source}: expected one input for images, got {len(candidate.model.inputs)}")
    if candidate.classification is not None:
        check_output(candidate.model, candidate.classification, candidate.source)


def _check_size(candidate: Candidate, at_most_bytes: int) -> None:
    for name, data in {MAIN_VARIANT: candidate.model.data, **candidate.variants}.items():
        if len(data) > at_most_bytes:
            raise ArtifactError(
                f"{candidate.source}: {name} has {len(data) / MIB:.0f} MiB, more than the "
                f"{at_most_bytes / MIB:.0f} MiB that a function can load"
            )


def _store(registry: Registry, candidate: Candidate, alias: str | None, sign: Sign | None = None) -> Manifest:
    """Store a candidate, unless an earlier attempt has done so."""
    earlier = find_published(registry, candidate.name, candidate.publication, sign)
    if earlier is not None:
        return _finish(registry, earlier, alias)
    blobs = {graph.artifact(): graph.data for graph in (*_graphs(candidate), *candidate.optimized)}
    if candidate.golden is not None:
        data = candidate.golden.to_json()
        blobs[Artifact.of("golden", MAIN_VARIANT, data, JSON)] = data
    draft = Manifest(
        model=layout.parse_name(candidate.name),
        version=0,
        inputs=candidate.model.inputs,
        outputs=candidate.model.outputs,
        artifacts=tuple(blobs),
        provenance=Provenance(
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            source=candidate.source,
            publication=candidate.publication,
            data_sha256=candidate.data_sha256,
            seed=candidate.seed,
            frameworks=candidate.frameworks,
            git_revision=candidate.git_revision,
        ),
        preprocess=candidate.preprocess,
        classification=candidate.classification,
        generation=candidate.generation,
        metrics=candidate.metrics,
        crashes=candidate.crashes,
        reference=None if candidate.reference is None else candidate.reference.to_document(),
    )
    return registry.publish(draft, {artifact.sha256: data for artifact, data in blobs.items()}, alias, sign)


def _graphs(candidate: Candidate) -> list[Graph]:
    """The portable graphs of a candidate, its main one first."""
    found = [Graph("model", MAIN_VARIANT, candidate.model.data)]
    if candidate.preprocess is not None:
        found.append(Graph("preprocess", MAIN_VARIANT, preprocess_graph(candidate.preprocess)))
    if candidate.classification is not None:
        scores = scores_of(candidate.model, candidate.classification)
        found.append(Graph("postprocess", MAIN_VARIANT, postprocess_graph(candidate.classification, scores)))
    if isinstance(candidate.generation, ImageGeneration):
        found.append(Graph("postprocess", MAIN_VARIANT, pixels_graph(candidate.generation)))
    return found + [Graph("model", name, data) for name, data in candidate.variants.items()]


def _finish(registry: Registry, manifest: Manifest, alias: str | None) -> Manifest:
    """Make the alias name what an earlier attempt stored, unless it did so itself."""
    if alias is None:
        return manifest
    try:
        history = registry.alias(manifest.model, alias).history
    except ModelNotFoundError:
        history = ()
    if any(move.version == manifest.version for move in history):
        return manifest
    return registry.promote(manifest.model, manifest.version, alias)
