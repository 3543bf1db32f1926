"""Shapley values: how much each value or word of a row adds to a label's probability, compared with a baseline.

The features of the baseline are replaced by those of the row, one by one, in random orders. Each order is followed by
its reverse.

Source: Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions",
Knowledge and Information Systems 41, 2014; Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley Value
Estimation", JMLR 23, 2022.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from onnxlet.errors import InvalidRequestError
from onnxlet.explain.runs import Runs
from onnxlet.record import Record
from onnxlet.tasks.rows import Batch

SEED = 0


class Subject(Protocol):
    """A row whose features are compared with a baseline."""

    noun: str
    """The word for its features in errors."""

    @property
    def count(self) -> int:
        """The number of features that differ from the baseline."""

    def baseline(self) -> Batch:
        """Return the row with none of its features."""

    def mixtures(self, order: Sequence[int]) -> Iterator[Batch]:
        """Yield the baseline with one more feature of the row each time, in an order of their positions."""

    def to_items(self, contributions: Sequence[float]) -> list[dict[str, Any]]:
        """Return a JSON object for each feature with its contribution."""


class Contributions(Record):
    """The contribution of each feature. Their sum is the difference between the probabilities of row and baseline."""

    baseline_probability: float
    items: list[dict[str, Any]]
    """A JSON object for each feature, the largest contribution first, whatever its sign."""


def contributions(subject: Subject, probability: float, runs: Runs) -> Contributions:
    """Return how much each feature adds to the probability: the mean over as many orders as the budget allows.

    Args:
        subject: The explained row.
        probability: The probability of the row.
        runs: The runs, which have begun with the row itself.

    Raises:
        InvalidRequestError: the budget ends before all features have been replaced once.
        InferenceError: the model cannot run on a mixture of row and baseline.
    """
    needed = max(1, subject.count)
    if needed > runs.left():
        raise InvalidRequestError(
            f"budget_runs: expected {needed + runs.count} or more for {subject.count} {subject.noun}"
        )
    at_baseline = runs.ask([subject.baseline()])
    if not at_baseline:
        raise _too_short(needed, runs)
    sums = [0.0] * subject.count
    walks = 0
    for order in _orders(subject.count):
        walk = _walk(subject, order, runs)
        if len(walk) < len(order) - 1:
            break
        walks += 1
        path = [*at_baseline, *walk, probability]
        for feature, before, after in zip(order, path, path[1:], strict=False):
            sums[feature] += after - before
        if len(order) < 2 or runs.left() < len(order) - 1:
            break
    if walks == 0:
        raise _too_short(needed, runs)
    items = subject.to_items([total / walks for total in sums])
    return Contributions(at_baseline[0], sorted(items, key=lambda item: -abs(item["contribution"])))


def _walk(subject: Subject, order: Sequence[int], runs: Runs) -> list[float]:
    """Return the probability after each replacement but the last; fewer if the time ends before."""
    probabilities: list[float] = []
    mixtures = subject.mixtures(order)
    steps = len(order) - 1
    while len(probabilities) < steps and (count := min(runs.room(), steps - len(probabilities))) > 0:
        probabilities += runs.ask(list(islice(mixtures, count)))
    return probabilities


def _orders(count: int) -> Iterator[list[int]]:
    """Yield random orders without end, each followed by its reverse."""
    source = random.Random(SEED)  # noqa: S311 - to repeat, not to keep a secret
    while True:
        order = sorted(range(count), key=lambda _: source.random())
        yield order
        yield order[::-1]


def _too_short(needed: int, runs: Runs) -> InvalidRequestError:
    return InvalidRequestError(
        f"budget_ms: expected time for {needed + 1} runs, got time for {runs.count}: ask for more"
    )
