"""Classifications: the output of a model that becomes labels, by the user's labels or by an importer's."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from onnxlet.contract.declarations import Classification
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.labels import read_labels
from onnxlet_publishing.importers.settings import Settings
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import AUTO, with_output


def with_classification(candidate: Candidate, settings: Settings) -> Candidate:
    """Return a candidate with the classification that its labels declare; the candidate itself without labels.

    Raises:
        UsageError: The labels cannot be read, are in another order than the model's, or are missing.
        ModelError: No output fits the labels.
    """
    labels, activation = settings.choose("labels"), settings.choose("activation")
    if labels is None:
        if activation is not None:
            raise UsageError("--activation: expected --labels FILE too, since only labels need an activation")
        return candidate
    output = None if isinstance(labels, Path) else settings.choose("output")
    if output is not None:
        is_first = output == candidate.model.outputs[0].name
        classification = Classification(labels, activation or AUTO, None if is_first else output)
        return replace(candidate, classification=classification)
    return _with_fitting_output(candidate, labels, activation or AUTO)


def _with_fitting_output(candidate: Candidate, labels: Path | tuple[str, ...], activation: str) -> Candidate:
    names = read_labels(labels) if isinstance(labels, Path) else labels
    model, classification = with_output(candidate.model, names, activation, candidate.source)
    if classification.output in {None, *(spec.name for spec in candidate.model.outputs)}:
        _check_order(labels, model, classification)
    return replace(candidate, model=model, classification=classification)


def _check_order(origin: object, model: OnnxFile, classification: Classification) -> None:
    """Refuse the graph's own labels in another order; joined columns are in the order of the labels."""
    labels = classification.labels
    same = [names for names in model.class_orders if Counter(names) == Counter(labels)]
    if same and labels not in same:
        raise UsageError(
            f"{origin}: expected the labels in the order of the model's classes, {', '.join(same[0]):.400}, "
            f"got {', '.join(labels):.400}"
        )
