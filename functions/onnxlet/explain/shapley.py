"""The Shapley values of numbers: what each one of a row adds to a label's probability, over that of a baseline.

Source: Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions",
Knowledge and Information Systems 41, 2014: the numbers of a baseline are replaced by the row's, one by one, in random
orders. Each order is followed by its reverse (Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley
Value Estimation", JMLR 23, 2022).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from onnxlet.contract import json_tensors
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import InvalidRequestError, UnsupportedMediaError
from onnxlet.explain.runs import Runs
from onnxlet.models.batches import Batch
from onnxlet.record import Record

SEED = 0


class Feature(Record):
    """One number of a row."""

    input: str
    position: int
    """Among the input's numbers, in row-major order."""


class Contributions(Record):
    """What each number adds; together they make the difference between the row's probability and the baseline's."""

    row: Batch
    baseline: Batch
    baseline_probability: float
    values: dict[Feature, float]

    def to_items(self) -> list[dict[str, Any]]:
        """As JSON has them, the largest first, be it for the label or against it."""
        found = {name: json_tensors.to_values(tensor) for name, tensor in self.row.inputs.items()}
        before = {name: json_tensors.to_values(tensor) for name, tensor in self.baseline.inputs.items()}
        return [
            {
                "input": feature.input,
                "index": _index(feature.position, self.row.inputs[feature.input].shape, has_rows=self.row.rows == 1),
                "value": found[feature.input][feature.position],
                "baseline": before[feature.input][feature.position],
                "contribution": value,
            }
            for feature, value in sorted(self.values.items(), key=lambda item: -abs(item[1]))
        ]


def zeros(row: Batch) -> Batch:
    """The baseline of zeros.

    Raises:
        UnsupportedMediaError: inputs that are texts, or numbers that JSON has no form for.
    """
    for name, tensor in row.inputs.items():
        if tensor.datatype.code is None:
            raise UnsupportedMediaError(f'input "{name}": {tensor.datatype.name} is not explained, only numbers are')
    inputs = {
        name: Tensor(tensor.datatype, tensor.shape, memoryview(bytes(len(tensor.buffer))))
        for name, tensor in row.inputs.items()
    }
    return Batch(inputs, row.rows)


def contributions(row: Batch, baseline: Batch, probability: float, runs: Runs) -> Contributions:
    """What each number adds to the probability, the mean over as many orders as the budget allows.

    Args:
        row: What is explained.
        baseline: A row of the same shapes and datatypes.
        probability: Of the row.
        runs: With which the label's probabilities are asked.

    Raises:
        InvalidRequestError: the budget is up before all numbers were replaced once.
        InferenceError: the model cannot run on a mixture of the two rows.
    """
    everything = [Feature(name, position) for name, tensor in row.inputs.items() for position in range(_count(tensor))]
    features = [each for each in everything if _bytes(row, each) != _bytes(baseline, each)]
    needed = max(1, len(features))
    if needed > runs.left():
        raise InvalidRequestError(f"budget_runs: expected {needed + runs.count} or more for {len(features)} numbers")
    at_baseline = runs.ask([baseline])
    if not at_baseline:
        raise InvalidRequestError(f"budget_ms: expected time for {needed + 1} runs, but it was up after {runs.count}")
    start = at_baseline[0]
    sums = dict.fromkeys(features, 0.0)
    walks = 0
    for order in _orders(features):
        walk = _walk(row, baseline, order, runs)
        if len(walk) < len(order) - 1:
            break
        walks += 1
        path = [start, *walk, probability] if order else [start]
        for feature, before, after in zip(order, path, path[1:], strict=False):
            sums[feature] += after - before
        if len(order) < 2 or runs.left() < len(order) - 1:
            break
    if walks == 0:
        raise InvalidRequestError(f"budget_ms: expected time for {needed + 1} runs, but it was up after {runs.count}")
    means = {feature: value / walks for feature, value in sums.items()}
    return Contributions(row, baseline, start, {each: means.get(each, 0.0) for each in everything})


def _walk(row: Batch, baseline: Batch, order: Sequence[Feature], runs: Runs) -> list[float]:
    """The probabilities as the numbers are replaced in this order, but for the last; fewer where the time is up."""
    found: list[float] = []
    mixtures = _mixtures(row, baseline, order)
    wanted = len(order) - 1
    while len(found) < wanted and (count := min(runs.room(), wanted - len(found))) > 0:
        found += runs.ask(list(islice(mixtures, count)))
    return found  # what did not run in time is missing at the end, where no time is left for more


def _mixtures(row: Batch, baseline: Batch, order: Sequence[Feature]) -> Iterator[Batch]:
    """The baseline with one more number of the row each time."""
    buffers = {name: bytearray(tensor.buffer) for name, tensor in baseline.inputs.items()}
    for feature in order:
        size_bytes = row.inputs[feature.input].datatype.size_bytes
        start = feature.position * size_bytes
        buffers[feature.input][start : start + size_bytes] = _bytes(row, feature)
        yield Batch(
            {
                name: Tensor(tensor.datatype, tensor.shape, memoryview(bytes(buffers[name])))
                for name, tensor in row.inputs.items()
            },
            row.rows,
        )


def _orders(features: Sequence[Feature]) -> Iterator[list[Feature]]:
    """Random orders, each followed by its reverse, without end."""
    source = random.Random(SEED)  # noqa: S311 - to repeat, not to keep a secret
    while True:
        order = sorted(features, key=lambda _: source.random())
        yield order
        yield order[::-1]


def _bytes(row: Batch, feature: Feature) -> bytes:
    tensor = row.inputs[feature.input]
    start = feature.position * tensor.datatype.size_bytes
    return bytes(tensor.buffer[start : start + tensor.datatype.size_bytes])


def _count(tensor: Tensor) -> int:
    return math.prod(tensor.shape)


def _index(position: int, shape: tuple[int, ...], *, has_rows: bool) -> list[int]:
    """Where a number is in its input, the dimension of rows left out."""
    index = []
    for size in reversed(shape[1:] if has_rows else shape):
        position, place = divmod(position, size)
        index.append(place)
    return index[::-1]
