"""The runs: rows through a classifier, counted and timed against a budget; each gives one label's probability."""

import math
import time
from collections.abc import Sequence

from onnxlet import deadline
from onnxlet.contract import tensors
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import DeadlineError, InferenceError, InvalidRequestError
from onnxlet.limits import MAX_JOINED_BYTES
from onnxlet.models import batches
from onnxlet.models.batches import Batch
from onnxlet.models.model import Model

MAX_ROWS = 16
"""At a time: more gains little, a network's layers multiply them in memory, and the clock is looked at in between."""


class Runs:
    """What one explanation may ask of its model."""

    def __init__(self, model: Model, at_most: int, at_most_s: float) -> None:
        """Begin to count and to measure.

        Args:
            model: A classifier.
            at_most: How many rows may run.
            at_most_s: The time in which they may.
        """
        self._model = model
        self._at_most = at_most
        self._at_most_s = at_most_s
        self._started_s = time.perf_counter()
        self._row_bytes = 0
        self.count = 0
        """How many rows have run."""
        self.target = 0
        """The position of the label that is asked about."""

    def begin(self, row: Batch, target: int | None) -> float:
        """The label's probability for the row itself; without a target, that of the most probable label.

        Raises:
            InvalidRequestError: the time is up before.
            InferenceError: the model cannot run on it.
        """
        self._row_bytes = sum(len(tensor.buffer) for tensor in row.inputs.values())
        found = self._classify([row])
        if found is None:
            raise InvalidRequestError("budget_ms: expected time for one run, but it was up before")
        indices, probabilities = found
        self.target = indices[0] if target is None else target
        return _finite(probabilities[indices.index(self.target)])

    def ask(self, rows: Sequence[Batch]) -> list[float]:
        """The label's probability for each of at most `room` rows; none where the time is up before.

        Raises:
            InferenceError: the model cannot run on them.
        """
        found = self._classify(rows)
        if found is None:
            return []
        indices, probabilities = found
        classes = len(indices) // len(rows)
        starts = range(0, len(indices), classes)
        return [_finite(probabilities[indices.index(self.target, start)]) for start in starts]

    def left(self) -> int:
        """How many rows may still run, time aside."""
        return self._at_most - self.count

    def room(self) -> int:
        """How many rows may run now, at the pace so far; 0 ends it."""
        pace_s = self.elapsed_s() / max(1, self.count)
        in_time = int((self._at_most_s - self.elapsed_s()) / pace_s)
        in_memory = max(2, MAX_JOINED_BYTES // max(1, self._row_bytes))
        return max(0, min(self.left(), MAX_ROWS, in_memory, in_time))

    def elapsed_s(self) -> float:
        """The time since it began."""
        return time.perf_counter() - self._started_s

    def _classify(self, rows: Sequence[Batch]) -> tuple[list[int], list[float]] | None:
        """The labels' positions and probabilities, row after row; None where the budget's time is up before."""
        try:
            with deadline.within(max(0.0, self._at_most_s - self.elapsed_s())):
                deadline.check()
                return self._run(rows)
        except DeadlineError:
            deadline.check()  # the request's own time may be over, too
            return None

    def _run(self, rows: Sequence[Batch]) -> tuple[list[int], list[float]]:
        manifest = self._model.manifest
        assert manifest.classification is not None, "the caller has looked"
        found = [outputs[manifest.class_output()] for outputs in batches.run(self._model, rows)]
        classes = len(manifest.classification.labels)
        for output in found:
            _check_one_row(output, classes)
        self.count += len(rows)
        indices, probabilities = self._model.classify(tensors.join(found), classes)
        return tensors.to_values(indices), tensors.to_values(probabilities)


def _check_one_row(output: Tensor, classes: int) -> None:
    shapes: list[tuple[int, ...]] = [(1, classes)]
    if classes == 2:
        shapes += [(1, 1), (1,)]  # one number, the second label's
    if output.shape not in shapes:
        raise InferenceError(f"expected the probabilities of one row, (1, {classes}), got {output.shape}")


def _finite(probability: float) -> float:
    if not math.isfinite(probability):
        raise InferenceError(f"a probability is {probability}: nothing can be said about what made it so")
    return probability
