"""Tasks of pictures: the declaration that follows from a model's outputs and the settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxlet.contract.declarations import ImagePreprocess, parse_preprocess
from onnxlet.contract.document import Document
from onnxlet.contract.tasks.pictures import parse
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.importers.labels import read_labels
from onnxlet_publishing.importers.picture_heads import find_activation, find_head
from onnxlet_publishing.importers.settings import Found, Settings, parsed

FIELDS = ("threshold", "mask_threshold", "overlap", "at_most", "activation", "pooling", "normalize")
"""Fields of declarations that an importer may find, or that have options."""


def build(candidate: Candidate, task: str, settings: Settings) -> Candidate:
    """Return a candidate that declares a task of pictures.

    Raises:
        UsageError: The preprocessing or the labels are missing or cannot be read, or the outputs have no known form.
        ManifestError: A field breaks the contract.
    """
    given = settings.require("preprocess", f"the task {task} needs the way in which pictures become the input")
    preprocess = parsed(given, parse_preprocess)
    assert preprocess is not None, "the setting is required"
    document: dict[str, Any] = {"name": task}
    if task == "image-feature-extraction":
        document["output"] = list(settings.choose("output") or [candidate.model.outputs[0].name])
    else:
        labels = settings.require("labels", f"the task {task} needs the names of its classes")
        document["labels"] = list(read_labels(labels) if isinstance(labels, Path) else labels)
        document |= _head(candidate, task, len(document["labels"]), preprocess, settings)
    document |= {field: value for field in FIELDS if (value := settings.choose(field)) is not None}
    declared = parse(Document(document, f"the task of {candidate.source}"))
    return replace(candidate, task=declared, preprocess=preprocess)


def _head(
    candidate: Candidate, task: str, classes: int, preprocess: ImagePreprocess, settings: Settings
) -> dict[str, Any]:
    """Return the form of the outputs: the importer's, else the one that their shapes and values show."""
    head, output = settings.choose("head"), settings.choose("output")
    if head is not None and output is not None:
        return {"head": head, "output": list(output)}
    head, output = find_head(task, candidate.model.outputs, classes)
    settings.report("head", Found(head, "the shapes of the outputs"))
    if head != "mask":
        return {"head": head, "output": list(output)}
    activation = find_activation(candidate.model, preprocess, output[0])
    if settings.choose("activation") is None:
        settings.report("activation", Found(activation, "found by running the model on pictures; --activation"))
    return {"head": head, "output": list(output), "activation": activation}
