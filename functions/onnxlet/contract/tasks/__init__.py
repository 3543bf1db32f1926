"""Declarations of tasks: what a version does for a person, as the manifest stores it under `task`.

Source: the names, inputs and outputs are those of Hugging Face's task pages.
"""

from __future__ import annotations

from importlib import import_module

from onnxlet.contract.document import Document
from onnxlet.contract.tasks.declaration import Declaration

FAMILIES = {
    "object-detection": "pictures",
    "image-segmentation": "pictures",
    "image-feature-extraction": "pictures",
    "text-classification": "texts",
    "token-classification": "texts",
    "feature-extraction": "texts",
    "sentence-similarity": "texts",
    "text-ranking": "texts",
    "fill-mask": "texts",
    "question-answering": "texts",
    "zero-shot-classification": "texts",
    "tabular-classification": "tables",
    "tabular-regression": "tables",
    "audio-classification": "sounds",
    "automatic-speech-recognition": "sounds",
    "voice-activity-detection": "sounds",
}
"""The module of this package with the declaration of each task that a manifest may name."""


def parse_task(document: Document) -> Declaration:
    """Read the declaration of a task. Only the module of its family is imported.

    Raises:
        ManifestError: the task is unknown, or a field is malformed or unknown.
    """
    name = document.choice("name", tuple(FAMILIES))
    family = import_module(f"onnxlet.contract.tasks.{FAMILIES[name]}")
    declaration: Declaration = family.parse(document)
    document.require_fields(declaration.to_document(), all_of_them=False)
    return declaration
