"""Shapley values: how much each number of a row adds to a label's probability, compared with a baseline.

The numbers of the baseline are replaced by those of the row, one by one, in random orders. Each order is followed by
its reverse.

Source: Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions",
Knowledge and Information Systems 41, 2014; Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley Value
Estimation", JMLR 23, 2022.
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
from onnxlet.record import Record
from onnxlet.tasks.rows import Batch

SEED = 0


class Feature(Record):
    """One number of a row."""

    input: str
    position: int
    """The position among the input's numbers, in row-major order."""


class Contributions(Record):
    """The contribution of each number. Their sum is the difference between the probabilities of row and baseline."""

    row: Batch
    baseline: Batch
    baseline_probability: float
    values: dict[Feature, float]

    def to_items(self) -> list[dict[str, Any]]:
        """Return the items of the JSON document, the largest first, whatever its sign."""
        values = {name: json_tensors.to_values(tensor) for name, tensor in self.row.inputs.items()}
        baseline = {name: json_tensors.to_values(tensor) for name, tensor in self.baseline.inputs.items()}
        return [
            {
                "input": feature.input,
                "index": _index(feature.position, self.row.inputs[feature.input].shape, has_rows=self.row.rows == 1),
                "value": values[feature.input][feature.position],
                "baseline": baseline[feature.input][feature.position],
                "contribution": value,
            }
            for feature, value in sorted(self.values.items(), key=lambda item: -abs(item[1]))
        ]


def zeros(row: Batch) -> Batch:
    """Return a baseline of zeros.

    Raises:
        UnsupportedMediaError: an input has texts, or numbers that have no JSON form.
    """
    for name, tensor in row.inputs.items():
        if tensor.datatype.code is None:
            raise UnsupportedMediaError(f'input "{name}": {tensor.datatype.name} cannot be explained, only numbers can')
    inputs = {
        name: Tensor(tensor.datatype, tensor.shape, memoryview(bytes(len(tensor.buffer))))
        for name, tensor in row.inputs.items()
    }
    return Batch(inputs, row.rows)


def contributions(row: Batch, baseline: Batch, probability: float, runs: Runs) -> Contributions:
    """Return how much each number adds to the probability: the mean over as many orders as the budget allows.

    Args:
        row: The explained row.
        baseline: A row of the same shapes and datatypes.
        probability: The probability of the row.
        runs: The runs, which have begun with the row itself.

    Raises:
        InvalidRequestError: the budget ends before all numbers have been replaced once.
        InferenceError: the model cannot run on a mixture of row and baseline.
    """
    everything = [Feature(name, position) for name, tensor in row.inputs.items() for position in range(_count(tensor))]
    features = [feature for feature in everything if _bytes(row, feature) != _bytes(baseline, feature)]
    needed = max(1, len(features))
    if needed > runs.left():
        raise InvalidRequestError(f"budget_runs: expected {needed + runs.count} or more for {len(features)} numbers")
    at_baseline = runs.ask([baseline])
    if not at_baseline:
        raise InvalidRequestError(
            f"budget_ms: expected time for {needed + 1} runs, got time for {runs.count}: ask for more"
        )
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
        raise InvalidRequestError(
            f"budget_ms: expected time for {needed + 1} runs, got time for {runs.count}: ask for more"
        )
    means = {feature: value / walks for feature, value in sums.items()}
    return Contributions(row, baseline, start, {feature: means.get(feature, 0.0) for feature in everything})


def _walk(row: Batch, baseline: Batch, order: Sequence[Feature], runs: Runs) -> list[float]:
    """Return the probability after each replacement but the last; fewer if the time ends before."""
    probabilities: list[float] = []
    mixtures = _mixtures(row, baseline, order)
    steps = len(order) - 1
    while len(probabilities) < steps and (count := min(runs.room(), steps - len(probabilities))) > 0:
        probabilities += runs.ask(list(islice(mixtures, count)))
    return probabilities


def _mixtures(row: Batch, baseline: Batch, order: Sequence[Feature]) -> Iterator[Batch]:
    """Yield the baseline with one more number of the row each time."""
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
    """Yield random orders without end, each followed by its reverse."""
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
    """Return the index of a number in its input, without the dimension of rows."""
    index = []
    for size in reversed(shape[1:] if has_rows else shape):
        position, place = divmod(position, size)
        index.append(place)
    return index[::-1]
