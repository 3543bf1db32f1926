"""The manifest: the JSON document of one version of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, Artifact, Role, parse_artifact
from onnxlet.contract.blob import Runtime
from onnxlet.contract.declarations import Classification, ImagePreprocess, parse_classification, parse_preprocess
from onnxlet.contract.document import SCHEMAS, SEALED, Document, to_sealed_json
from onnxlet.contract.generation import Generation, ImageGeneration, parse_generation
from onnxlet.contract.tensors import DATATYPES, Dimension, TensorSpec
from onnxlet.record import EMPTY, Record, to_dict

if TYPE_CHECKING:
    from onnxlet.contract.tasks.declaration import Declaration

MAX_TENSORS = 256
"""Inputs or outputs of a model."""

MAX_RANK = 16
"""Dimensions that a manifest declares for a tensor."""

MAX_DIMENSION_NAME = 256
"""Characters in the name of a free dimension."""


class Provenance(Record):
    """The origin of a version."""

    created_at: str
    """UTC, RFC 3339."""
    source: str
    """`recipe:<name>`, or the name of the user's file."""
    publication: str
    """A random identifier, by which a publisher recognises its own manifest after a lost reply."""
    data_sha256: str | None = None
    seed: int | None = None
    frameworks: Mapping[str, str] = EMPTY
    git_revision: str | None = None


class Crash(Record):
    """A finding of the publish gate: an operator that ends the process, or never ends, on some inputs."""

    operator: str
    """The operator's name in ONNX, for instance `Div`."""
    node: str | None
    """The name of the graph's node; None if it has no name."""
    found: str
    """A description of what happened on which inputs: `SIGFPE where a is -2147483648 and b is -1`."""


class Manifest(Record):
    """One immutable version of a model: its tensors, graphs, declarations, metrics and origin."""

    model: str
    version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    artifacts: tuple[Artifact, ...]
    provenance: Provenance
    preprocess: ImagePreprocess | None = None
    classification: Classification | None = None
    generation: Generation | None = None
    task: Declaration | None = None
    """The declaration of the version's task; None if `preprocess`, `classification` and `generation` say all of it."""
    metrics: Mapping[str, float] = EMPTY
    training_statistics: Mapping[str, Any] | None = None
    """The JSON object of the stored field `reference`, which only drift reads: see `contract.training_statistics`."""
    crashes: tuple[Crash, ...] = ()
    """Findings of the publish gate that a client who may send tensors can use to end the function's process."""
    signature: Mapping[str, str] = EMPTY
    """The publisher's signature in the form of `contract.signature`; empty without a signature."""
    __slots__ = ("_as_read",)
    """The whole JSON object that the manifest was read from: a signature also covers fields that this code ignores."""

    def takes(self) -> str:
        """Return what a person sends to the version: `picture`, `text`, `table`, `sound` or `tensor`."""
        if self.task is not None:
            return self.task.takes
        return "tensor" if self.preprocess is None else "picture"

    def task_name(self) -> str | None:
        """Return the name of the version's task; None if it serves tensors only.

        A manifest without a `task` is read as the task that its other declarations mean.
        """
        if self.task is not None:
            return self.task.name
        if self.generation is not None:
            is_image = isinstance(self.generation, ImageGeneration)
            return "unconditional-image-generation" if is_image else "text-generation"
        if self.classification is None:
            return None
        if self.preprocess is not None:
            return "image-classification"
        takes_text = [spec.datatype.name for spec in self.inputs] == ["BYTES"]
        return "text-classification" if takes_text else "tabular-classification"

    def choices(self, role: Role, variant: str | None = None, runtime: Runtime | None = None) -> list[Artifact]:
        """Return the artifacts with this role that a process may load, the best first; they are forms of one graph.

        Args:
            role: The artifacts' role.
            variant: The variant; if the version does not have it, its first variant.
            runtime: The runtime that will load them; None for the portable form only.
        """
        has_golden = any(artifact.role == "golden" for artifact in self.artifacts)
        loadable = [
            artifact
            for artifact in self.artifacts
            if artifact.role == role and artifact.fits(runtime) and (has_golden or not artifact.must_be_checked)
        ]
        requested = [artifact for artifact in loadable if artifact.variant == variant]
        first = [artifact for artifact in loadable if artifact.variant == loadable[0].variant]
        return sorted(requested or first, key=Artifact.preference)

    def best(self, variant: str | None = None, runtime: Runtime | None = None) -> list[Artifact]:
        """Return what to load: tokenizer, the best form of each graph, and the golden example if it must check them."""
        graphs = [choices[0] for role in GRAPH_ROLES if (choices := self.choices(role, variant, runtime))]
        golden = self.choices("golden") if any(artifact.must_be_checked for artifact in graphs) else []
        return [*self.choices("tokenizer"), *graphs, *golden]

    def class_output(self) -> str:
        """Return the name of the output that the classification turns into labels; by default the first output."""
        named = None if self.classification is None else self.classification.output
        return self.outputs[0].name if named is None else named

    def artifact(self, role: Role, variant: str | None = None) -> Artifact | None:
        """Return the portable artifact with this role and variant, or else with the first variant, or None."""
        return next(iter(self.choices(role, variant)), None)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `from_document` reads; if it has read this manifest, the object that it read."""
        as_read: Mapping[str, Any] | None = getattr(self, "_as_read", None)
        if as_read is not None:
            return dict(as_read)
        crashes = {"crashes": to_dict(self.crashes)} if self.crashes else {}
        task = {} if self.task is None else {"task": self.task.to_document()}
        return {
            "schema": SEALED,
            "model": self.model,
            "version": self.version,
            "inputs": [_spec_to_document(spec) for spec in self.inputs],
            "outputs": [_spec_to_document(spec) for spec in self.outputs],
            "artifacts": to_dict(self.artifacts),
            "preprocess": None if self.preprocess is None else self.preprocess.to_document(),
            "classification": to_dict(self.classification),
            "generation": None if self.generation is None else self.generation.to_document(),
            "metrics": dict(self.metrics),
            "reference": self.training_statistics,
            "provenance": to_dict(self.provenance),
            "signature": dict(self.signature),
            **crashes,
            **task,
        }

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores."""
        return to_sealed_json(
            self.to_document(), remedy="give the model fewer or shorter labels, metrics or statistics"
        )

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Manifest:
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: the schema is unknown, or a field is malformed.
        """
        return cls.from_document(Document.parse_sealed(data, path))

    @classmethod
    def from_document(cls, document: Document) -> Manifest:
        """Read a parsed manifest, and validate every field.

        Raises:
            ManifestError: the schema is unknown, or a field is malformed.
        """
        document.require_schema(*SCHEMAS)
        statistics = document.optional_document("reference")
        preprocess = document.optional_document("preprocess")
        classification = document.optional_document("classification")
        generation = document.optional_document("generation")
        task = document.optional_document("task")
        manifest = cls(
            model=_parse_model(document),
            version=document.integer("version", 1, 999_999_999),
            inputs=_parse_specs(document, "inputs"),
            outputs=_parse_specs(document, "outputs"),
            artifacts=tuple(parse_artifact(item) for item in document.documents("artifacts")),
            provenance=_parse_provenance(document.document("provenance")),
            preprocess=None if preprocess is None else parse_preprocess(preprocess),
            classification=None if classification is None else parse_classification(classification),
            generation=None if generation is None else parse_generation(generation),
            task=None if task is None else _parse_task(task),
            metrics=document.number_map("metrics"),
            training_statistics=None if statistics is None else statistics.content,
            crashes=_parse_crashes(document),
            signature=document.text_map("signature"),
        )
        object.__setattr__(manifest, "_as_read", document.content)
        _check_artifacts(document, manifest)
        _check_classification(document, manifest)
        _check_generation(document, manifest)
        _check_task(document, manifest)
        return manifest


def _parse_model(document: Document) -> str:
    name = document.text("model")
    if not layout.is_name(name):
        raise document.error("model", "a model's name")
    return name


def _parse_specs(document: Document, tensors: str) -> tuple[TensorSpec, ...]:
    specs = tuple(_parse_spec(item) for item in document.documents(tensors))
    names = {spec.name for spec in specs}
    if not 0 < len(specs) <= MAX_TENSORS or len(names) != len(specs):
        raise document.error(tensors, f"1 to {MAX_TENSORS} tensors with different names")
    return specs


def _parse_spec(document: Document) -> TensorSpec:
    datatype = DATATYPES[document.choice("datatype", tuple(DATATYPES))]
    shape: tuple[Dimension, ...] | None = None
    if document.content.get("shape") is not None:
        shape = tuple(document.items("shape"))
        if len(shape) > MAX_RANK or not all(map(_is_dimension, shape)):
            raise document.error("shape", f"at most {MAX_RANK} sizes or names")
    return TensorSpec(document.text("name"), datatype, shape)


def _is_dimension(size: object) -> bool:
    if isinstance(size, str):
        return 0 < len(size) <= MAX_DIMENSION_NAME
    return type(size) is int and 0 <= size <= 2**31


def _spec_to_document(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": spec.shape}


def _check_classification(document: Document, manifest: Manifest) -> None:
    """Refuse a classification of an output that the model does not have."""
    names = [spec.name for spec in manifest.outputs]
    if manifest.class_output() not in names:
        raise document.document("classification").error("output", f"one of the outputs {', '.join(names)}")


def _check_generation(document: Document, manifest: Manifest) -> None:
    """Refuse a generation that does not use all inputs, or reads an output that the model does not have."""
    generation = manifest.generation
    if generation is None:
        return
    if set(generation.inputs()) != {spec.name for spec in manifest.inputs}:
        raise document.error("generation", f"the inputs {', '.join(spec.name for spec in manifest.inputs)}")
    if not set(generation.outputs()) <= {spec.name for spec in manifest.outputs}:
        raise document.error("generation", f"outputs of {', '.join(spec.name for spec in manifest.outputs)}")


def _parse_task(document: Document) -> Declaration:
    from onnxlet.contract.tasks import parse_task  # a model of tensors has no task

    return parse_task(document)


def _check_task(document: Document, manifest: Manifest) -> None:
    """Refuse a task that does not feed all inputs, or reads an output that the model does not have."""
    if manifest.task is None:
        return
    inputs = {spec.name for spec in manifest.inputs}
    if manifest.task.inputs() and set(manifest.task.inputs()) != inputs:
        raise document.error("task", f"a task that feeds the inputs {', '.join(inputs)}")
    if not set(manifest.task.outputs()) <= {spec.name for spec in manifest.outputs}:
        raise document.error("task", f"outputs of {', '.join(spec.name for spec in manifest.outputs)}")


def _parse_crashes(document: Document) -> tuple[Crash, ...]:
    items = document.documents("crashes") if document.has("crashes") else ()
    return tuple(Crash(item.text("operator"), item.optional_text("node"), item.text("found")) for item in items)


def _parse_provenance(document: Document) -> Provenance:
    return Provenance(
        created_at=document.text("created_at"),
        source=document.text("source"),
        publication=document.text("publication"),
        data_sha256=document.optional_text("data_sha256"),
        seed=document.optional_integer("seed", 0),
        frameworks=document.text_map("frameworks"),
        git_revision=document.optional_text("git_revision"),
    )


def _check_artifacts(document: Document, manifest: Manifest) -> None:
    """Refuse a manifest without a model graph, or with a declaration whose graph is missing."""
    required: list[Role] = ["model"]
    if manifest.preprocess is not None:
        required.append("preprocess")
    if manifest.classification is not None or isinstance(manifest.generation, ImageGeneration):
        required.append("postprocess")
    if manifest.task is not None:
        required += manifest.task.roles()
    missing = [role for role in required if manifest.artifact(role) is None]
    if missing:
        raise document.error("artifacts", f"one with the role {missing[0]}")
