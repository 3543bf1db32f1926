"""Predictions: the answers of a model as lines for people."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from onnxlet_cli import output

FIRST_VALUES = 4
"""Numbers of a long vector that are printed without `--json`."""

SHOWN_VALUES = 32
"""The most values of an output, and entries of an answer, that are printed without `--json`."""


def answer_lines(predictions: Sequence[object]) -> list[str]:
    """Return predictions as lines, with a heading for each row if there are several of more than one line."""
    answers = [prediction_lines(prediction) for prediction in predictions]
    if len(answers) == 1 or all(len(lines) == 1 for lines in answers):
        return [line for lines in answers for line in lines]
    return [line for row, lines in enumerate(answers, 1) for line in (f"row {row}", *(f"  {line}" for line in lines))]


def prediction_lines(prediction: object) -> list[str]:
    """Return one prediction as lines: its labels, most probable first, what was found, or the values of its outputs."""
    if isinstance(prediction, list) and all(isinstance(entry, dict) for entry in prediction):
        return _table(prediction) if prediction else ["nothing found"]
    if not isinstance(prediction, dict):
        return [_values(prediction)]
    if prediction.keys() == {"sequence", "labels", "scores"}:
        return _table([dict(zip(("label", "score"), pair, strict=True)) for pair in _ranked(prediction)])
    if "top" not in prediction:
        return [f"{name}  {_values(value)}" for name, value in prediction.items()]
    return ["  ".join(map(output.to_cell, entry.values())) for entry in prediction["top"]]


def _ranked(prediction: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the labels of a zero-shot classification with their scores."""
    return list(zip(prediction["labels"], prediction["scores"], strict=True))


def _table(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return entries with the same keys as the lines of a table whose head is their keys."""
    shown = entries[:SHOWN_VALUES]
    rows = [list(entries[0]), *([_cell(name, value) for name, value in entry.items()] for entry in shown)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    rest = len(entries) - len(shown)
    return [*lines, f"and {rest} more; --json prints them"] if rest else lines


def _cell(name: str, value: object) -> str:
    if name == "mask":
        return _mask(str(value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:.0f}" for key, number in value.items())
    return output.to_cell(value)


def _mask(png: str) -> str:
    """Return the size of a mask and its share of the picture; the mask is a PNG in base64."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as mask:
        share = 1 - mask.convert("L").histogram()[0] / (mask.width * mask.height)
        return f"{share:.1%} of {mask.width} x {mask.height} pixels"


def _values(values: object) -> str:
    """Return a few values as JSON, the length and the first numbers of a long vector, and the shape of other values."""
    shape, first, count = [], values, 1
    while isinstance(first, list):
        shape.append(str(len(first)))
        count *= len(first)
        first = first[0] if first else None
    if count > SHOWN_VALUES and len(shape) == 1 and isinstance(values, list):
        beginning = ", ".join(map(output.to_cell, values[:FIRST_VALUES]))
        return f"{count} values: {beginning}, ...; --json prints them"
    return f"{' x '.join(shape)} values; --json prints them" if count > SHOWN_VALUES else json.dumps(values)
