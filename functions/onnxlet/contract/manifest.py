"""The manifest: the JSON document of one version of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, Artifact, Role, parse_artifact
from onnxlet.contract.blob import Runtime
from onnxlet.contract.document import SCHEMAS, SEALED, Document, to_sealed_json
from onnxlet.contract.generation import LAYOUTS, Generation, ImageGeneration, parse_generation
from onnxlet.contract.tensors import DATATYPES, Dimension, TensorSpec
from onnxlet.record import EMPTY, Record, to_dict

ACTIVATIONS = ("none", "softmax", "sigmoid")
CHANNELS = {1: "L", 3: "RGB"}
"""Numbers of channels that an image may be decoded to, with Pillow's name for each."""

PREPROCESS_INPUT = "images"
"""The preprocess graph takes UINT8 (batch, height, width, channels) of any height and width"""
PREPROCESS_OUTPUT = "tensor"
"""and gives the model's one input."""
PIXELS_INPUT = "output"
PIXELS_OUTPUT = "images"
"""The postprocess graph of a model that makes images turns its output into UINT8 (batch, height, width, channels)."""
POSTPROCESS_INPUTS = ("output", "k")
"""That of a classification takes the output that its declaration names, and how many classes to name, INT64 (1,)"""
POSTPROCESS_OUTPUTS = ("indices", "probabilities")
"""and gives INT64 and FP32 (batch, k), most probable first."""

MAX_SIDE_PIXELS = 4096
MAX_TENSORS = 256
MAX_RANK = 16
MAX_DIMENSION_NAME = 256
"""Characters."""


class ImagePreprocess(Record):
    """How an image becomes the model's input: `(pixel * scale - mean) / std` after resizing to height x width.

    The same declaration generates the graph that training evaluates with and that the functions run.
    """

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    channels: int
    """1 (grey) or 3 (red, green, blue)."""
    layout: str = "NHWC"
    """`NHWC` (Keras) or `NCHW` (PyTorch)."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """One value, or one for each channel."""
    std: tuple[float, ...] = (1.0,)
    """One value, or one for each channel; none is zero."""


class Classification(Record):
    """How one of the model's outputs, shape (batch, classes), becomes labels with probabilities.

    Of two labels the model may give one number for each row, the second label's: (batch, 1) or (batch,).
    """

    labels: tuple[str, ...]
    """One for each class, in the order of the output."""
    activation: str = "none"
    """What turns the output into probabilities: `none` (it holds probabilities), `softmax`, or `sigmoid`."""
    output: str | None = None
    """The output's name; None for the model's first output."""


class Provenance(Record):
    """Where a version came from."""

    created_at: str
    """UTC, RFC 3339."""
    source: str
    """`recipe:<name>`, or the name of the file that was brought."""
    publication: str
    """A random identifier, by which a publisher knows its own manifest again after a lost reply."""
    data_sha256: str | None = None
    seed: int | None = None
    frameworks: Mapping[str, str] = EMPTY
    git_revision: str | None = None


class Crash(Record):
    """A finding of the publish gate: an operator of the model that ends the process, or never ends, on some inputs."""

    operator: str
    """The operator's name in ONNX, for instance `Div`."""
    node: str | None
    """The name of the graph's node, where it has one."""
    found: str
    """What happened on which inputs, for people: `SIGFPE where a is -2147483648 and b is -1`."""


class Manifest(Record):
    """One immutable version of a model: its tensors, its graphs, how good it is and where it came from."""

    model: str
    version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    artifacts: tuple[Artifact, ...]
    provenance: Provenance
    preprocess: ImagePreprocess | None = None
    classification: Classification | None = None
    generation: Generation | None = None
    metrics: Mapping[str, float] = EMPTY
    reference: Mapping[str, Any] | None = None
    """As it is written, since no function reads it: `contract.reference` does."""
    crashes: tuple[Crash, ...] = ()
    """What the publish gate found to end a process that runs the model: a client who may send tensors can do so."""
    signature: Mapping[str, str] = EMPTY
    """By whom it was published, as `contract.signature` has it; empty where nobody says."""
    __slots__ = ("_as_read",)
    """The whole JSON object that the manifest was read from: a signature also covers fields that this code ignores."""

    def choices(self, role: Role, variant: str | None = None, runtime: Runtime | None = None) -> list[Artifact]:
        """The artifacts with this role that a process may load, the best first, which differ in their form alone.

        Args:
            role: What they are.
            variant: Which of the model's graphs, where the version has this one; else its first.
            runtime: What they shall be loaded with; None for what any version on any CPU loads.
        """
        has_golden = any(artifact.role == "golden" for artifact in self.artifacts)
        found = [
            artifact
            for artifact in self.artifacts
            if artifact.role == role and artifact.fits(runtime) and (has_golden or not artifact.must_be_checked)
        ]
        of_variant = [artifact for artifact in found if artifact.variant == variant]
        of_first = [artifact for artifact in found if artifact.variant == found[0].variant]
        return sorted(of_variant or of_first, key=Artifact.preference)

    def best(self, variant: str | None = None, runtime: Runtime | None = None) -> list[Artifact]:
        """All that a process needs to load this version: the first choice for each graph, and what checks them."""
        found = [choices[0] for role in GRAPH_ROLES if (choices := self.choices(role, variant, runtime))]
        return found + (self.choices("golden") if any(artifact.must_be_checked for artifact in found) else [])

    def class_output(self) -> str:
        """Return the name of the output that becomes labels, where the version has labels."""
        named = None if self.classification is None else self.classification.output
        return self.outputs[0].name if named is None else named

    def artifact(self, role: Role, variant: str | None = None) -> Artifact | None:
        """The portable artifact with this role and variant, else with its first variant, or None."""
        return next(iter(self.choices(role, variant)), None)

    def to_document(self) -> dict[str, Any]:
        """The manifest as the JSON object that `from_document` reads: where it has done so, that very one."""
        as_read: Mapping[str, Any] | None = getattr(self, "_as_read", None)
        if as_read is not None:
            return dict(as_read)
        crashes = {"crashes": to_dict(self.crashes)} if self.crashes else {}
        return {
            "schema": SEALED,
            "model": self.model,
            "version": self.version,
            "inputs": [_spec_to_document(spec) for spec in self.inputs],
            "outputs": [_spec_to_document(spec) for spec in self.outputs],
            "artifacts": to_dict(self.artifacts),
            "preprocess": to_dict(self.preprocess),
            "classification": to_dict(self.classification),
            "generation": None if self.generation is None else self.generation.to_document(),
            "metrics": dict(self.metrics),
            "reference": self.reference,
            "provenance": to_dict(self.provenance),
            "signature": dict(self.signature),
            **crashes,
        }

    def to_json(self) -> bytes:
        """The bytes that the registry stores."""
        return to_sealed_json(
            self.to_document(), remedy="give the model fewer or shorter labels, metrics or statistics"
        )

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Manifest:
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: an unknown schema, or anything malformed.
        """
        return cls.from_document(Document.parse_sealed(data, path))

    @classmethod
    def from_document(cls, document: Document) -> Manifest:
        """Read a parsed manifest, trusting nothing in it.

        Raises:
            ManifestError: an unknown schema, or anything malformed.
        """
        document.require_schema(*SCHEMAS)
        reference = document.optional_document("reference")
        manifest = cls(
            model=_parse_model(document),
            version=document.integer("version", 1, 999_999_999),
            inputs=_parse_specs(document, "inputs"),
            outputs=_parse_specs(document, "outputs"),
            artifacts=tuple(parse_artifact(item) for item in document.documents("artifacts")),
            provenance=_parse_provenance(document.document("provenance")),
            preprocess=_parse_preprocess(document.optional_document("preprocess")),
            classification=_parse_classification(document.optional_document("classification")),
            generation=_parse_generation(document.optional_document("generation")),
            metrics=document.number_map("metrics"),
            reference=None if reference is None else reference.content,
            crashes=_parse_crashes(document),
            signature=document.text_map("signature"),
        )
        object.__setattr__(manifest, "_as_read", document.content)
        _check_artifacts(document, manifest)
        _check_classification(document, manifest)
        _check_generation(document, manifest)
        return manifest


def parse_preprocess(document: Document) -> ImagePreprocess:
    """Read the declaration of an image's preprocessing.

    Raises:
        ManifestError: anything malformed.
    """
    defaults = ImagePreprocess(1, 1, 1)
    channels = document.integer("channels", 1, max(CHANNELS))
    if channels not in CHANNELS:
        raise document.error("channels", " or ".join(map(str, CHANNELS)))
    per_channel = (1, channels) if channels > 1 else (1,)
    has = document.content.__contains__
    std = document.numbers("std", per_channel) if has("std") else defaults.std
    if 0 in std:
        raise document.error("std", "numbers other than 0")
    return ImagePreprocess(
        height=document.integer("height", 1, MAX_SIDE_PIXELS),
        width=document.integer("width", 1, MAX_SIDE_PIXELS),
        channels=channels,
        layout=document.choice("layout", LAYOUTS) if has("layout") else defaults.layout,
        scale=document.number("scale") if has("scale") else defaults.scale,
        mean=document.numbers("mean", per_channel) if has("mean") else defaults.mean,
        std=std,
    )


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
    return isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= 2**31


def _spec_to_document(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": spec.shape}


def _parse_classification(document: Document | None) -> Classification | None:
    if document is None:
        return None
    labels = document.texts("labels")
    if not labels:
        raise document.error("labels", "at least one label")
    return Classification(labels, document.choice("activation", ACTIVATIONS), document.optional_text("output"))


def _parse_generation(document: Document | None) -> Generation | None:
    return None if document is None else parse_generation(document)


def _check_classification(document: Document, manifest: Manifest) -> None:
    """The output that a classification names is one of the model's."""
    names = [spec.name for spec in manifest.outputs]
    if manifest.class_output() not in names:
        raise document.document("classification").error("output", f"one of the outputs {', '.join(names)}")


def _check_generation(document: Document, manifest: Manifest) -> None:
    """The tensors that a generation names are the model's, and all of its inputs."""
    generation = manifest.generation
    if generation is None:
        return
    if set(generation.inputs()) != {spec.name for spec in manifest.inputs}:
        raise document.error("generation", f"the inputs {', '.join(spec.name for spec in manifest.inputs)}")
    if not set(generation.outputs()) <= {spec.name for spec in manifest.outputs}:
        raise document.error("generation", f"outputs of {', '.join(spec.name for spec in manifest.outputs)}")


def _parse_crashes(document: Document) -> tuple[Crash, ...]:
    items = document.documents("crashes") if document.content.get("crashes") is not None else ()
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


def _parse_preprocess(document: Document | None) -> ImagePreprocess | None:
    return None if document is None else parse_preprocess(document)


def _check_artifacts(document: Document, manifest: Manifest) -> None:
    """A model graph is there, and each declaration has the graph that carries it out."""
    required: list[Role] = ["model"]
    if manifest.preprocess is not None:
        required.append("preprocess")
    if manifest.classification is not None or isinstance(manifest.generation, ImageGeneration):
        required.append("postprocess")
    missing = [role for role in required if manifest.artifact(role) is None]
    if missing:
        raise document.error("artifacts", f"one with the role {missing[0]}")
