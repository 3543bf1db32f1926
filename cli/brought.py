"""Models that the user brings: files and options become candidates for the registry."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from onnxlet.contract import layout
from onnxlet.contract.document import Document
from onnxlet.contract.generation import parse_generation
from onnxlet.contract.manifest import Classification, parse_preprocess
from onnxlet.errors import InvalidRequestError
from training.onnx_file import OnnxFile, read_onnx
from training.provenance import git_revision
from training.publish import Candidate

Declaration = TypeVar("Declaration")


@dataclass(frozen=True)
class Declarations:
    """The files that say what one model is for."""

    labels: Path | None = None
    preprocess: Path | None = None
    generation: Path | None = None


NONE = Declarations()


def candidates(path: Path, name: str | None, declarations: Declarations = NONE) -> list[Candidate]:
    """The models at `path`: a file, or every `.onnx` file in a folder, each named by its stem.

    Raises:
        InvalidRequestError: no such file, or an option that does not fit.
        InvalidNameError, ArtifactError, ManifestError: what is in the files.
    """
    if path.is_dir():
        files = sorted(path.glob("*.onnx"))
        if not files:
            raise InvalidRequestError(f"{path}: expected .onnx files in this folder, found none")
        if name or declarations != NONE:
            raise InvalidRequestError("a name and declarations are for one model: give one .onnx file")
    elif path.is_file():
        files = [path]
    else:
        raise InvalidRequestError(f"{path}: no such file or folder")
    found = [_candidate(file, name or _name_of(file), declarations) for file in files]
    _refuse_same_names(found)
    return found


def _candidate(file: Path, name: str, declarations: Declarations) -> Candidate:
    layout.parse_name(name)
    model = read_onnx(file)
    return Candidate(
        name=name,
        model=model,
        source=file.name,
        preprocess=_read_optional(declarations.preprocess, parse_preprocess),
        classification=None if declarations.labels is None else _read_labels(declarations.labels, model),
        generation=_read_optional(declarations.generation, parse_generation),
        git_revision=git_revision(),
    )


def _name_of(file: Path) -> str:
    return file.stem.lower().replace(" ", "-")


def _refuse_same_names(found: list[Candidate]) -> None:
    names = [candidate.name for candidate in found]
    for candidate in found:
        if names.count(candidate.name) > 1:
            raise InvalidRequestError(f"{candidate.source}: another file gives the same name {candidate.name!r}")


def _read_optional(path: Path | None, parse: Callable[[Document], Declaration]) -> Declaration | None:
    return None if path is None else parse(Document.parse(_read(path), str(path)))


def _read_labels(path: Path, model: OnnxFile) -> Classification:
    try:
        text = _read(path).decode()
        labels = json.loads(text) if text.lstrip().startswith("[") else [line for line in text.splitlines() if line]
    except ValueError as error:  # not UTF-8, or not JSON
        raise InvalidRequestError(f"{path}: expected a label on each line, or a JSON list: {error}") from error
    if not labels or not all(isinstance(label, str) for label in labels):
        raise InvalidRequestError(f"{path}: expected a label on each line, or a JSON list of strings")
    return Classification(tuple(labels), "none" if model.ends_in_softmax else "softmax")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{path}: cannot be read: {error.strerror}") from error
