"""Runs of a classifier within a budget of rows and time. Each run gives one label's probability."""

import math
import time
from collections.abc import Sequence

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import DeadlineError, InferenceError, InvalidRequestError
from onnxlet.limits import MAX_JOINED_BYTES, deadline
from onnxlet.models.model import Model
from onnxlet.tasks.rows import Batch

MAX_ROWS = 16
"""Rows that run at a time. More gain little, take more memory, and delay the next look at the clock."""


class Runs:
    """The runs of one explanation."""

    def __init__(self, model: Model, at_most: int, at_most_s: float) -> None:
        """Start the clock.

        Args:
            model: A classifier.
            at_most: The largest number of rows.
            at_most_s: The time in which they must run.
        """
        self._model = model
        self._at_most = at_most
        self._at_most_s = at_most_s
        self._started_s = time.perf_counter()
        self._row_bytes = 0
        self.count = 0
        """The number of rows that have run."""
        self.target = 0
        """The position of the explained label."""

    def begin(self, row: Batch, target: int | None) -> float:
        """Run the row itself and return the probability of the target, or of the most probable label.

        Raises:
            InvalidRequestError: the time ends before the run does.
            InferenceError: the model cannot run on the row.
        """
        self._row_bytes = sum(len(tensor.buffer) for tensor in row.inputs.values())
        classified = self._classify([row])
        if classified is None:
            raise InvalidRequestError("budget_ms: expected time for one run, got less: ask for more")
        indices, probabilities = classified
        self.target = indices[0] if target is None else target
        return _finite(probabilities[indices.index(self.target)])

    def ask(self, rows: Sequence[Batch]) -> list[float]:
        """Run at most `room` rows and return the label's probability for each; nothing if the time ends before.

        Raises:
            InferenceError: the model cannot run on them.
        """
        classified = self._classify(rows)
        if classified is None:
            return []
        indices, probabilities = classified
        classes = len(indices) // len(rows)
        starts = range(0, len(indices), classes)
        return [_finite(probabilities[indices.index(self.target, start)]) for start in starts]

    def left(self) -> int:
        """Return how many rows the budget still has, regardless of its time."""
        return self._at_most - self.count

    def room(self) -> int:
        """Return how many rows can run next at the current pace; 0 if the budget is used up."""
        in_memory = max(2, MAX_JOINED_BYTES // max(1, self._row_bytes))
        return min(self.affordable(), MAX_ROWS, in_memory)

    def affordable(self) -> int:
        """Return how many rows both the budget and its time allow at the current pace."""
        pace_s = self.elapsed_s() / max(1, self.count)
        in_time = int((self._at_most_s - self.elapsed_s()) / pace_s)
        return max(0, min(self.left(), in_time))

    def elapsed_s(self) -> float:
        """Return the time since the start."""
        return time.perf_counter() - self._started_s

    def _classify(self, rows: Sequence[Batch]) -> tuple[list[int], list[float]] | None:
        """Return the labels' positions and probabilities, row after row; None if the budget's time ends before."""
        try:
            with deadline.within(max(0.0, self._at_most_s - self.elapsed_s())):
                deadline.check()
                return self._run(rows)
        except DeadlineError:
            deadline.check()  # raises if the request's own time has ended, too
            return None

    def _run(self, rows: Sequence[Batch]) -> tuple[list[int], list[float]]:
        manifest = self._model.manifest
        assert manifest.classification is not None, "the caller has checked it"
        aligned = self._model.align(rows)
        scores = [outputs[manifest.class_output()] for outputs in self._model.run_all(aligned)]
        classes = len(manifest.classification.labels)
        for output in scores:
            _check_one_row(output, classes)
        self.count += len(rows)
        indices, probabilities = self._model.classify(tensors.join(scores), classes)
        return json_tensors.to_values(indices), json_tensors.to_values(probabilities)


def _check_one_row(output: Tensor, classes: int) -> None:
    shapes: list[tuple[int, ...]] = [(1, classes)]
    if classes == 2:
        shapes += [(1, 1), (1,)]  # one number: the probability of the second label
    if output.shape not in shapes:
        raise InferenceError(f"expected the probabilities of one row, (1, {classes}), got {output.shape}")


def _finite(probability: float) -> float:
    if not math.isfinite(probability):
        raise InferenceError(f"expected a finite probability, got {probability}, which cannot be explained")
    return probability
