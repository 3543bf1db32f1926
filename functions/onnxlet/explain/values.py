"""Values: the numbers and texts of a row, which a baseline of zeros and empty texts replaces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.contract import json_tensors
from onnxlet.contract.tensors import Tensor, pack_strings, unpack_strings
from onnxlet.errors import UnsupportedMediaError
from onnxlet.record import Record
from onnxlet.tasks.rows import Batch

if TYPE_CHECKING:
    from onnxlet.contract.tasks.tables import Column

NO_TEXT = bytes(pack_strings([b""]))
"""An empty text in the form that a tensor of texts has."""


class Feature(Record):
    """One value of a row."""

    input: str
    position: int
    """The position among the input's values, in row-major order."""


class Values:
    """The values of one row: what `shapley` replaces."""

    noun = "numbers"

    def __init__(self, row: Batch, columns: Sequence[Column] = ()) -> None:
        """Compare a row with the baseline.

        Args:
            row: One row.
            columns: The columns of a table, which name the values; empty for tensors.

        Raises:
            UnsupportedMediaError: an input has values that cannot be replaced.
        """
        self._row = row
        self._columns = columns
        self._elements = {name: _elements(name, tensor, has_texts=bool(columns)) for name, tensor in row.inputs.items()}
        self._blank = {name: _blank(tensor) for name, tensor in row.inputs.items()}
        self._features = [
            Feature(name, position) for name, elements in self._elements.items() for position in range(len(elements))
        ]
        self._changed = [each for each in self._features if self._element(each) != self._blank[each.input]]

    @property
    def count(self) -> int:
        """The number of values that differ from the baseline."""
        return len(self._changed)

    def baseline(self) -> Batch:
        """Return the row of zeros and empty texts."""
        return self._batch({name: [self._blank[name]] * len(elements) for name, elements in self._elements.items()})

    def mixtures(self, order: Sequence[int]) -> Iterator[Batch]:
        """Yield the baseline with one more value of the row each time."""
        mixed = {name: [self._blank[name]] * len(elements) for name, elements in self._elements.items()}
        for number in order:
            feature = self._changed[number]
            mixed[feature.input][feature.position] = self._element(feature)
            yield self._batch(mixed)

    def to_items(self, contributions: Sequence[float]) -> list[dict[str, Any]]:
        """Return a JSON object for each value with its contribution; a value that is the baseline's has none."""
        by_feature = dict.fromkeys(self._features, 0.0) | dict(zip(self._changed, contributions, strict=True))
        values = {name: json_tensors.to_values(tensor) for name, tensor in self._row.inputs.items()}
        return [
            {
                **self._place(feature),
                "value": values[feature.input][feature.position],
                "baseline": "" if self._blank[feature.input] is NO_TEXT else _zero(values[feature.input]),
                "contribution": contribution,
            }
            for feature, contribution in by_feature.items()
        ]

    def _element(self, feature: Feature) -> bytes:
        return self._elements[feature.input][feature.position]

    def _batch(self, elements: Mapping[str, list[bytes]]) -> Batch:
        inputs = {
            name: Tensor(tensor.datatype, tensor.shape, memoryview(b"".join(elements[name])))
            for name, tensor in self._row.inputs.items()
        }
        return Batch(inputs, self._row.rows)

    def _place(self, feature: Feature) -> dict[str, Any]:
        """Return what names a value: its column, or its input and index."""
        if self._columns:
            names = [column.name for column in self._columns if column.input == feature.input]
            return {"column": names[feature.position]}
        shape = self._row.inputs[feature.input].shape
        return {"input": feature.input, "index": _index(feature.position, shape, has_rows=self._row.rows == 1)}


def count(row: Batch) -> int:
    """Return how many values a row has."""
    return sum(math.prod(tensor.shape) for tensor in row.inputs.values())


def _elements(name: str, tensor: Tensor, *, has_texts: bool) -> list[bytes]:
    """Return the bytes of each value.

    Raises:
        UnsupportedMediaError: the values are texts outside a table, or numbers that have no JSON form.
    """
    data, size_bytes = bytes(tensor.buffer), tensor.datatype.size_bytes
    if tensor.datatype.code is not None:
        return [data[start : start + size_bytes] for start in range(0, len(data), size_bytes)]
    if has_texts and tensor.datatype.name == "BYTES":
        return [bytes(pack_strings([text])) for text in unpack_strings(tensor.buffer)]
    raise UnsupportedMediaError(f'input "{name}": {tensor.datatype.name} cannot be explained, only numbers can')


def _blank(tensor: Tensor) -> bytes:
    return bytes(tensor.datatype.size_bytes) or NO_TEXT


def _zero(values: Sequence[Any]) -> Any:
    """Return the zero of the values' type."""
    return type(values[0])(0)


def _index(position: int, shape: tuple[int, ...], *, has_rows: bool) -> list[int]:
    """Return the index of a value in its input, without the dimension of rows."""
    index = []
    for size in reversed(shape[1:] if has_rows else shape):
        position, place = divmod(position, size)
        index.append(place)
    return index[::-1]
