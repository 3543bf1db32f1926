"""A candidate: a model that may become a version, with its declarations, its metrics and its provenance."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from onnxlet.contract import layout
from onnxlet.contract.artifact import JSON, Artifact
from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.example import Example
from onnxlet.contract.generation import Generation, ImageGeneration
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Crash, Manifest, Provenance
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.contract.training_statistics import TrainingStatistics
from onnxlet_publishing.graphs import pixels_graph, postprocess_graph
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import MAIN_VARIANT, GraphForm
from onnxlet_publishing.output_heads import scores_of
from onnxlet_publishing.picture_graph import preprocess_graph
from onnxlet_publishing.tasks import task_graphs


@dataclass(frozen=True)
class Candidate:
    """A model that may become a version."""

    name: str
    model: OnnxFile
    source: str
    """`recipe:<name>`, or the name of the user's file."""
    preprocess: ImagePreprocess | None = None
    classification: Classification | None = None
    generation: Generation | None = None
    task: Declaration | None = None
    tokenizer: bytes | None = None
    """The file `tokenizer.json` of a task that takes texts."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    training_statistics: TrainingStatistics | None = None
    """The distributions with which drift compares later requests."""
    data_sha256: str | None = None
    seed: int | None = None
    frameworks: Mapping[str, str] = field(default_factory=dict)
    git_revision: str | None = None
    variants: Mapping[str, bytes] = field(default_factory=dict)
    """Other graphs of the same model by name, for instance `int8` or `student`."""
    optimized: tuple[GraphForm, ...] = ()
    """The candidate's graphs in forms that load faster, in addition to the portable ones."""
    example: Example | None = None
    """A payload in the form that a person has. If it is None, the gate takes one that fits the task."""
    golden: Golden | None = None
    """An example of the model's framework. If it is None, the gate records what the functions' runtime answers."""
    crashes: tuple[Crash, ...] = ()
    """Inputs that end a process which runs the model, as the gate found them."""
    publication: str = field(default_factory=lambda: os.urandom(16).hex())
    """A random key by which a publisher recognises its own version, so that a retry does not publish it twice."""

    def graphs(self) -> list[GraphForm]:
        """Return the candidate's portable graphs, the main one first."""
        graphs = [GraphForm("model", MAIN_VARIANT, self.model.data)]
        if self.preprocess is not None:
            datatype = self.model.inputs[0].datatype
            graphs.append(GraphForm("preprocess", MAIN_VARIANT, preprocess_graph(self.preprocess, datatype)))
        if self.classification is not None:
            scores = scores_of(self.model, self.classification)
            graphs.append(GraphForm("postprocess", MAIN_VARIANT, postprocess_graph(self.classification, scores)))
        if self.task is not None:
            graphs += task_graphs(self.task, self.model, self.preprocess)
        if isinstance(self.generation, ImageGeneration):
            graphs.append(GraphForm("postprocess", MAIN_VARIANT, pixels_graph(self.generation)))
        return graphs + [GraphForm("model", name, data) for name, data in self.variants.items()]

    def to_version(self) -> tuple[Manifest, dict[str, bytes]]:
        """Return the manifest of the version, without a number yet, and its blobs by SHA-256.

        Raises:
            InvalidNameError: The name is not a possible model name.
            ManifestError: A declaration breaks the contract.
        """
        blobs = {graph.artifact(): graph.data for graph in (*self.graphs(), *self.optimized)}
        if self.tokenizer is not None:
            blobs[Artifact.of("tokenizer", MAIN_VARIANT, self.tokenizer, JSON)] = self.tokenizer
        if self.example is not None:
            data = self.example.to_json()
            blobs[Artifact.of("example", MAIN_VARIANT, data, JSON)] = data
        if self.golden is not None:
            data = self.golden.to_json()
            blobs[Artifact.of("golden", MAIN_VARIANT, data, JSON)] = data
        manifest = Manifest(
            model=layout.parse_name(self.name),
            version=0,
            inputs=self.model.inputs,
            outputs=self.model.outputs,
            artifacts=tuple(blobs),
            provenance=Provenance(
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                source=self.source,
                publication=self.publication,
                data_sha256=self.data_sha256,
                seed=self.seed,
                frameworks=self.frameworks,
                git_revision=self.git_revision,
            ),
            preprocess=self.preprocess,
            classification=self.classification,
            generation=self.generation,
            task=self.task,
            metrics=self.metrics,
            crashes=self.crashes,
            training_statistics=None if self.training_statistics is None else self.training_statistics.to_document(),
        )
        return manifest, {artifact.sha256: data for artifact, data in blobs.items()}
