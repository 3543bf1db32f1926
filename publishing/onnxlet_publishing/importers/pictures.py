"""Tasks of pictures: the declaration that follows from a model's outputs and the settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxlet.contract.declarations import parse_preprocess
from onnxlet.contract.document import Document
from onnxlet.contract.tasks.pictures import parse
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.importers.labels import read_labels
from onnxlet_publishing.importers.settings import Settings, parsed

FIELDS = ("threshold", "mask_threshold", "overlap", "at_most", "activation", "pooling", "normalize")
"""Fields of declarations that an importer may find, or that have options."""


def build(candidate: Candidate, task: str, settings: Settings) -> Candidate:
    """Return a candidate that declares a task of pictures.

    Raises:
        UsageError: The preprocessing or the labels are missing or cannot be read.
        ManifestError: A field breaks the contract.
    """
    preprocess = settings.require("preprocess", f"the task {task} needs the way in which pictures become the input")
    document: dict[str, Any] = {"name": task, "output": list(_outputs(candidate, settings))}
    if task != "image-feature-extraction":
        labels = settings.require("labels", f"the task {task} needs the names of its classes")
        document["labels"] = list(read_labels(labels) if isinstance(labels, Path) else labels)
        document["head"] = settings.choose("head")
    document |= {field: value for field in FIELDS if (value := settings.choose(field)) is not None}
    declared = parse(Document(document, f"the task of {candidate.source}"))
    return replace(candidate, task=declared, preprocess=parsed(preprocess, parse_preprocess))


def _outputs(candidate: Candidate, settings: Settings) -> tuple[str, ...]:
    """Return the outputs that the task reads: those that the importer found, else the first one."""
    found: tuple[str, ...] | None = settings.choose("output")
    return (candidate.model.outputs[0].name,) if found is None else found
