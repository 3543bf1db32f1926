"""Rows: what a payload is decoded to, the batch of tensors that rows become, and what a model predicts for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnxlet.contract.tensors import Tensor
from onnxlet.record import Record

Outputs = Mapping[str, Tensor]
"""A model's outputs by name."""

Labels = list[tuple[str, float]]
"""The most probable labels of one row with their probabilities, the most probable first."""

Parameters = Mapping[str, Any]
"""A client's parameters, checked by `tasks.parameters`; an absent parameter has its default."""


class Images(Record):
    """Decoded images. The model's preprocess graph turns them into a batch."""

    pixels: Tensor
    """UINT8 (batch, height, width, channels), any height and width."""
    sizes: tuple[tuple[int, int], ...] = ()
    """The height and width of each picture as the client sees it, upright; empty if it is that of `pixels`."""

    @property
    def rows(self) -> int:
        """The number of images."""
        return self.pixels.shape[0]

    def own_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return the height and width of each picture as the client sees it."""
        _, height, width, _ = self.pixels.shape
        return self.sizes or ((height, width),) * self.rows


class Sound(Record):
    """A decoded sound with one channel."""

    samples: Tensor
    """FP32 (samples,), from -1 to 1."""
    sampling_rate: int
    """Samples in a second."""

    @property
    def rows(self) -> int:
        """One: a sound is a single row."""
        return 1


class Items(Record):
    """Texts, pairs of texts or rows of a table in the form that JSON has for them."""

    values: Sequence[Any]
    """One value for each row."""

    @property
    def rows(self) -> int:
        """The number of values."""
        return len(self.values)

    def each(self) -> Iterator[Items]:
        """Yield each value as an item of its own, so that a model may run on values of similar sizes together."""
        return (Items([value]) for value in self.values)


class Batch:
    """A tensor for each input of a model: one row, several rows, or values that are not divided into rows.

    A request may have 10,000 of them, so this is not a record, which takes four times as long to make.
    """

    __slots__ = ("context", "inputs", "is_image", "rows")

    def __init__(
        self, inputs: Mapping[str, Tensor], rows: int | None, is_image: bool = False, context: Any = None
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        """The number of rows; None if the inputs' first dimension does not count rows."""
        self.is_image = is_image
        """Whether the client sent images or a sound, and not the tensors that they become."""
        self.context = context
        """Facts about the client's rows that the task needs to answer; None for tensors that the client sent itself."""


Rows = Images | Sound | Items | Batch
"""Decoded rows: what a person has, or tensors that the model takes as they are."""


class Prediction:
    """The answer of a model to one batch."""

    __slots__ = ("answers", "batch", "labels", "outputs", "picture")

    def __init__(self, batch: Batch, outputs: Outputs) -> None:
        self.batch = batch
        self.outputs = outputs
        self.labels: list[Labels] | None = None
        """The most probable labels of each row; None if the model has no labels."""
        self.answers: list[Any] | None = None
        """The task's JSON document for each of the client's rows; None if labels or the outputs are the answer."""
        self.picture: bytes | None = None
        """The answer to a single row as a PNG file; None if the answer is not a picture."""

    @property
    def truncated(self) -> int:
        """The number of texts that were longer than the model takes, and were cut."""
        return len(getattr(self.batch.context, "cut", ()))
