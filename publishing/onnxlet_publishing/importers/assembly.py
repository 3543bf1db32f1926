"""Assembly: a candidate made of a model, of what an importer found and of what the user says instead."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from onnxlet.contract.declarations import Classification, parse_preprocess
from onnxlet.contract.document import Document
from onnxlet.contract.generation import parse_generation
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.labels import read_labels
from onnxlet_publishing.importers.settings import Findings, Overrides, Settings
from onnxlet_publishing.importers.source import Source, read_bytes
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import AUTO, with_output
from onnxlet_publishing.provenance import git_revision

Declaration = TypeVar("Declaration")


@dataclass(frozen=True)
class Import:
    """A model as it will be published, and what a person must know about how it came to be."""

    candidate: Candidate
    lines: tuple[str, ...]
    """The kind of the model, and a line for each derived setting with its origin and its option."""


def assemble(name: str, source: Source, model: OnnxFile, findings: Findings, overrides: Overrides) -> Import:
    """Make a candidate.

    Raises:
        UsageError: A declaration cannot be read, does not fit the model, or is not used.
        ManifestError: The content of a declaration breaks the contract.
    """
    settings = Settings(findings, overrides)
    model, classification = _classification(settings, model, source)
    candidate = Candidate(
        name=name,
        model=model,
        source=source.origin,
        preprocess=_parsed(settings.choose("preprocess"), parse_preprocess),
        classification=classification,
        generation=_parsed(settings.choose("generation"), parse_generation),
        git_revision=git_revision(),
    )
    settings.require_all_used("a model without a task")
    return Import(candidate, (*_summary(findings, candidate), *settings.lines, *findings.notes))


def _summary(findings: Findings, candidate: Candidate) -> Iterator[str]:
    """Yield what the model was recognised as, and whether it is served as tensors only."""
    yield findings.what
    if (candidate.preprocess, candidate.classification, candidate.generation) == (None, None, None):
        yield "no task is known: requests and answers are tensors (--task)"


def _classification(settings: Settings, model: OnnxFile, source: Source) -> tuple[OnnxFile, Classification | None]:
    """Return a model with its classification: the user's labels, else those of the importer."""
    labels, activation = settings.choose("labels"), settings.choose("activation")
    if labels is None:
        if activation is not None:
            raise UsageError("--activation: expected --labels FILE too, since only labels need an activation")
        return model, None
    if not isinstance(labels, Path):
        output = settings.choose("output")
        return model, Classification(labels, activation or AUTO, None if output == model.outputs[0].name else output)
    own_outputs = model.outputs
    model, classification = with_output(model, read_labels(labels), activation or AUTO, source.file.name)
    if classification.output in {None, *(spec.name for spec in own_outputs)}:
        _check_order(labels, model, classification)
    return model, classification


def _check_order(path: Path, model: OnnxFile, classification: Classification) -> None:
    """Refuse the graph's own labels in another order; joined columns are in the order of the labels."""
    labels = classification.labels
    same = [names for names in model.class_orders if Counter(names) == Counter(labels)]
    if same and labels not in same:
        raise UsageError(
            f"{path}: expected the labels in the order of the model's classes, {', '.join(same[0]):.400}, "
            f"got {', '.join(labels):.400}"
        )


def _parsed(value: Path | Declaration | None, parse: Callable[[Document], Declaration]) -> Declaration | None:
    """Return a declaration: an importer's own, or the one in the user's file."""
    return parse(Document.parse(read_bytes(value), str(value))) if isinstance(value, Path) else value
