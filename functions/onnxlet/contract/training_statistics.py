"""The reference: how a model's inputs and answers were distributed where it was evaluated.

What requests bring is held against it, so both sides measure a row by the same `measures`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from onnxlet.contract.document import Document
from onnxlet.contract.tensors import Tensor
from onnxlet.record import Record, to_dict

CONFIDENCE = "confidence"
"""The measure of an answer: the probability of the predicted label."""

MAX_NUMBERS = 32
"""Of a row's input, up to which each has a measure of its own."""

MAX_MEASURED = 4096
"""Numbers of one input that its mean and its spread are of: of more, as many at equal distances."""

MAX_CUTS = 64
MAX_MEASURES = 1024


class Distribution(Record):
    """How often a measure's values fell between cuts."""

    cuts: tuple[float, ...]
    """Ascending: the first bin lies below the first of them, the last at or above the last."""
    counts: tuple[int, ...]
    """Of values in each bin, one more than there are cuts."""
    mean: float

    def count(self, values: list[float]) -> tuple[int, ...]:
        """How many of other values fall into each bin."""
        counts = [0] * len(self.counts)
        for value in values:
            counts[bisect_right(self.cuts, value)] += 1
        return tuple(counts)


class Reference(Record):
    """The distributions over examples that the model was not trained on."""

    labels: tuple[int, ...]
    """How often each label was predicted, in the order of the classification's."""
    measures: Mapping[str, Distribution]
    """By name: `confidence`, and those of `measures`."""

    def to_document(self) -> dict[str, Any]:
        """The JSON object that `from_document` reads."""
        document: dict[str, Any] = to_dict(self)
        return document

    @classmethod
    def from_document(cls, document: Document) -> Reference:
        """Read a manifest's `reference`, trusting nothing in it.

        Raises:
            ManifestError: anything malformed.
        """
        measures = document.document("measures")
        if len(measures.content) > MAX_MEASURES:
            raise document.error("measures", f"at most {MAX_MEASURES} measures")
        return cls(
            labels=_parse_counts(document, "labels"),
            measures={name: _parse_distribution(measures.document(name)) for name in measures.content},
        )


def measures(name: str, row: Tensor) -> dict[str, float]:
    """What is measured of one row of an input: its mean and its spread, or each number where there are few.

    Args:
        name: The input's.
        row: Its numbers; texts, and FP16, which Python does not read, have no measures.
    """
    code = row.datatype.code
    if code is None:
        return {}
    values = row.buffer.cast(code)  # type: ignore[call-overload]
    if len(values) <= MAX_NUMBERS:
        return {f"{name}[{position}]": float(value) for position, value in enumerate(values)}
    some = values[:: -(-len(values) // MAX_MEASURED)].tolist()
    mean = sum(some) / len(some)
    spread = math.sqrt(max(0.0, sum(value * value for value in some) / len(some) - mean * mean))
    return {f"{name}.mean": mean, f"{name}.spread": spread}


def _parse_distribution(document: Document) -> Distribution:
    cuts = document.numbers("cuts", tuple(range(1, MAX_CUTS + 1)))
    if not all(below < above for below, above in pairwise(cuts)):
        raise document.error("cuts", "ascending numbers")
    counts = _parse_counts(document, "counts")
    if len(counts) != len(cuts) + 1:
        raise document.error("counts", f"{len(cuts) + 1} counts, one more than cuts")
    return Distribution(cuts, counts, document.number("mean"))


def _parse_counts(document: Document, field: str) -> tuple[int, ...]:
    counts = document.items(field)
    if not counts or not all(type(count) is int and 0 <= count <= 2**53 for count in counts):
        raise document.error(field, "a list of counts")
    return tuple(counts)
