"""Labels: the names of a model's classes in the forms in which people write them."""

import json
from pathlib import Path

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.source import read_bytes

ID2LABEL = "id2label"
"""The field of Hugging Face's `config.json` that maps numbers of classes to their names."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the labels in a file: one on each line, a JSON list, or a JSON object by the numbers of the classes.

    Raises:
        UsageError: The file has another form, or a label is empty.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        labels = _parse_labels(text)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or no labels
        raise UsageError(
            f'{path}: expected a label on each line, a JSON list of them, or {{"0": "label", ...}}: {error}'
        ) from error
    for index, label in enumerate(labels):
        if not label.strip():
            raise UsageError(f"{path}: label {index} of 0 to {len(labels) - 1} is empty")
    return tuple(labels)


def _parse_labels(text: str) -> list[str]:
    if text.lstrip()[:1] not in {"[", "{"}:
        labels = [line.removesuffix("\r") for line in text.split("\n")]  # a label may contain other line separators
        while labels and not labels[-1].strip():
            labels.pop()
    else:
        labels = labels_of(json.loads(text))
    if not labels:
        raise ValueError("the file has no labels")
    return labels


def labels_of(document: object) -> list[str]:
    """Return the labels of a parsed JSON document in the order of their classes."""
    if isinstance(document, dict):
        by_number = document.get(ID2LABEL, document)
        expected = list(map(str, range(len(by_number))))
        missing = [number for number in expected if number not in by_number]
        if missing:
            raise ValueError(f"the class {missing[0]} of 0 to {len(by_number) - 1} is missing")
        document = [by_number[number] for number in expected]
    if not isinstance(document, list) or not all(isinstance(label, str) for label in document):
        raise ValueError("not all labels are strings")
    return document
