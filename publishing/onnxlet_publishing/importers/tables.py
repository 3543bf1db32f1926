"""Tasks of tables: the declaration that follows from a model's inputs, its class names and the names of the columns."""

import json
from dataclasses import replace
from pathlib import Path

from onnxlet.contract.tasks.tables import Column, TableTask
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers.classification import with_classification
from onnxlet_publishing.importers.settings import Settings
from onnxlet_publishing.importers.source import read_bytes


def build(candidate: Candidate, task: str, settings: Settings) -> Candidate:
    """Return a candidate that declares a task of tables.

    Raises:
        UsageError: The labels are missing or cannot be read, or the columns are others than the model's inputs take.
        ModelError: An input is not a column of a table, or several.
    """
    label = None
    if task == "tabular-classification":
        settings.require("labels", f"the task {task} needs the names of its classes")
        candidate = with_classification(candidate, settings)
        label = _own_label(candidate, settings)
    widths = {spec.name: _width(candidate, spec) for spec in candidate.model.inputs}
    given = settings.choose("columns")
    names = _parse_names(given, sum(widths.values())) if isinstance(given, str) else names_of(candidate.model.inputs)
    sources = [source for source, width in widths.items() for _ in range(width)]
    columns = tuple(Column(name, source) for name, source in zip(names, sources, strict=True))
    return replace(candidate, task=TableTask(task, columns, label))


def _own_label(candidate: Candidate, settings: Settings) -> str | None:
    """Return the output with the classifier's own choice, if it uses the names of the classes."""
    found: tuple[str, tuple[str, ...]] | None = settings.choose("label")
    if found is None or candidate.classification is None or found[1] != candidate.classification.labels:
        return None
    return found[0]


def _width(candidate: Candidate, spec: TensorSpec) -> int:
    """Return how many columns feed an input."""
    shape = spec.shape
    if shape is None or not 0 < len(shape) <= 2 or not isinstance((*shape, 1)[1], int):
        raise ModelError(
            f'{candidate.source}: input "{spec.name}": expected (rows,) or (rows, columns) with a known number of '
            f"columns for a task of tables, got {spec}"
        )
    return int((*shape, 1)[1])


def names_of(inputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    """Return the names of all columns: those of the inputs, numbered if an input has several columns."""
    widths = {spec.name: int((*(spec.shape or ()), 1)[1]) for spec in inputs}
    if len(widths) == 1 and sum(widths.values()) > 1:
        return tuple(f"x{place}" for place in range(sum(widths.values())))
    return tuple(
        name
        for source, width in widths.items()
        for name in ([source] if width == 1 else [f"{source}{place}" for place in range(width)])
    )


def _parse_names(given: str, count: int) -> list[str]:
    """Return the names in a text with commas, or in a file with a JSON list, a line for each name or one with commas.

    Raises:
        UsageError: The file cannot be read, or there are another number of names or two equal ones.
    """
    text = given
    if Path(given).is_file():
        text = read_bytes(Path(given)).decode("utf-8-sig", "replace").strip()
    names = _split(text, given)
    if len(names) != count or len(set(names)) != count:
        shown = ", ".join(names)
        raise UsageError(
            f"--columns: expected {count} different names, one for each column, got {len(names)}: {shown:.300}"
        )
    return names


def _split(text: str, given: str) -> list[str]:
    if not text.startswith("["):
        return [
            name.strip().strip('"') for name in text.replace("\r", "").replace("\n", ",").split(",") if name.strip()
        ]
    try:
        return list(map(str, json.loads(text)))
    except ValueError as error:
        raise UsageError(f"--columns: expected a JSON list in {given:.200}: {error}") from error
