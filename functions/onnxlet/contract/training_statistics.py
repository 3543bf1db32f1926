"""Training statistics: how a model's inputs and answers were distributed on held-out data.

Drift compares requests with them, so both sides measure a row with the same function `measures`.
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
"""Name of the measure of an answer: the probability of the predicted label."""

MAX_NUMBERS = 32
"""Numbers of a row's input up to which each number has its own measure."""

MAX_MEASURED = 4096
"""Numbers of one input that its mean and spread are computed from; of more, a sample at equal distances is used."""

MAX_CUTS = 64
"""Cuts of one distribution."""

MAX_MEASURES = 1024
"""Measures of one model."""


class Distribution(Record):
    """A histogram of a measure's values."""

    cuts: tuple[float, ...]
    """The bins' bounds, ascending: the first bin lies below the first cut, the last bin at or above the last cut."""
    counts: tuple[int, ...]
    """The number of values in each bin; there is one bin more than cuts."""
    mean: float

    def count(self, values: list[float]) -> tuple[int, ...]:
        """Return how many of other values fall into each bin."""
        counts = [0] * len(self.counts)
        for value in values:
            counts[bisect_right(self.cuts, value)] += 1
        return tuple(counts)


class TrainingStatistics(Record):
    """Distributions over examples that the model was not trained on."""

    labels: tuple[int, ...]
    """The number of predictions of each label, in the order of the classification's labels."""
    measures: Mapping[str, Distribution]
    """Distributions by name: `confidence`, and the names that `measures` returns."""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `from_document` reads."""
        document: dict[str, Any] = to_dict(self)
        return document

    @classmethod
    def from_document(cls, document: Document) -> TrainingStatistics:
        """Read a manifest's field `reference`, and validate it.

        Raises:
            ManifestError: a field is malformed.
        """
        measures = document.document("measures")
        if len(measures.content) > MAX_MEASURES:
            raise document.error("measures", f"at most {MAX_MEASURES} measures")
        return cls(
            labels=_parse_counts(document, "labels"),
            measures={name: _parse_distribution(measures.document(name)) for name in measures.content},
        )


def measures(name: str, row: Tensor) -> dict[str, float]:
    """Return the measures of one row of an input: its mean and spread, or each number if there are few.

    Args:
        name: The input's name.
        row: The row; strings and FP16, which Python does not read, have no measures.
    """
    code = row.datatype.code
    if code is None:
        return {}
    values = row.buffer.cast(code)  # type: ignore[call-overload]
    if len(values) <= MAX_NUMBERS:
        return {f"{name}[{position}]": float(value) for position, value in enumerate(values)}
    sample = values[:: -(-len(values) // MAX_MEASURED)].tolist()
    mean = sum(sample) / len(sample)
    spread = math.sqrt(max(0.0, sum(value * value for value in sample) / len(sample) - mean * mean))
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
