"""The importer of plain ONNX files: a file, or a folder of files, and what the user declares with options."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from onnxlet.contract import layout
from onnxlet.contract.declarations import Classification, parse_preprocess
from onnxlet.contract.document import Document
from onnxlet.contract.generation import parse_generation
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx
from onnxlet_publishing.output_heads import AUTO, with_output
from onnxlet_publishing.provenance import git_revision

Declaration = TypeVar("Declaration")

ID2LABEL = "id2label"
"""The field of Hugging Face's `config.json` that maps numbers of classes to their names."""


@dataclass(frozen=True)
class Declarations:
    """The user's declarations for one model: files, and the activation of its output."""

    labels: Path | None = None
    preprocess: Path | None = None
    generation: Path | None = None
    activation: str = AUTO


NO_DECLARATIONS = Declarations()


def find_files(path: Path, name: str | None, declarations: Declarations = NO_DECLARATIONS) -> list[Path]:
    """Return the models' files at `path`: the file itself, or every `.onnx` file in the folder.

    Raises:
        UsageError: There is no such file, or an option that does not fit a folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder")
    files = sorted(path.glob("*.onnx"))
    if not files:
        raise UsageError(f"{path}: expected .onnx files in this folder, got none")
    if name or declarations != NO_DECLARATIONS:
        raise UsageError(f"{path}: expected one .onnx file for a name or declarations, got a folder")
    return files


def read_candidate(file: Path, name: str | None = None, declarations: Declarations = NO_DECLARATIONS) -> Candidate:
    """Read a model and its declarations; without a name, the file's stem names the model.

    Raises:
        UsageError: A declaration cannot be read, or does not fit the model.
        ModelError: The model cannot be read.
        InvalidNameError: The name is not a possible model name.
        ManifestError: The content of a declaration breaks the contract.
    """
    name = name_of(file) if name is None else name
    layout.parse_name(name)
    model, classification = _read_classifier(file, declarations)
    return Candidate(
        name=name,
        model=model,
        source=file.name,
        preprocess=_read_optional(declarations.preprocess, parse_preprocess),
        classification=classification,
        generation=_read_optional(declarations.generation, parse_generation),
        git_revision=git_revision(),
    )


def name_of(file: Path) -> str:
    """Return the default name of a model."""
    return file.stem.lower().replace(" ", "-")


def _read_classifier(file: Path, declarations: Declarations) -> tuple[OnnxFile, Classification | None]:
    """Return a model with its classification: the user's labels, else those of the graph itself."""
    model = read_onnx(file)
    activation = declarations.activation
    if declarations.labels is not None:
        own_outputs = model.outputs
        model, classification = with_output(model, read_labels(declarations.labels), activation, file.name)
        if classification.output in {None, *(spec.name for spec in own_outputs)}:
            _check_order(declarations.labels, model, classification)
        return model, classification
    if len(model.class_names) == 1:
        ((output, labels),) = model.class_names.items()
        if labels:
            is_first = output == model.outputs[0].name
            return model, Classification(labels, activation, None if is_first else output)
    if activation != AUTO:
        raise UsageError("--activation: expected --labels FILE too, since only labels need an activation")
    return model, None


def _check_order(path: Path, model: OnnxFile, classification: Classification) -> None:
    """Refuse the graph's own labels in another order; joined columns are in the order of the labels."""
    labels = classification.labels
    same = [names for names in model.class_orders if Counter(names) == Counter(labels)]
    if same and labels not in same:
        raise UsageError(
            f"{path}: expected the labels in the order of the model's classes, {', '.join(same[0]):.400}, "
            f"got {', '.join(labels):.400}"
        )


def _read_optional(path: Path | None, parse: Callable[[Document], Declaration]) -> Declaration | None:
    return None if path is None else parse(Document.parse(_read(path), str(path)))


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the labels in a file: one on each line, a JSON list, or a JSON object by the numbers of the classes.

    Raises:
        UsageError: The file has another form, or a label is empty.
    """
    try:
        text = _read(path).decode("utf-8-sig")
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
        labels = _labels_of(json.loads(text))
    if not labels:
        raise ValueError("the file has no labels")
    return labels


def _labels_of(document: object) -> list[str]:
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
