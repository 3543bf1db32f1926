"""The tasks of tables: rows by column become the model's tensors, and its outputs values for each row."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from onnxlet.contract import json_tensors
from onnxlet.contract.declarations import POSTPROCESS_INPUTS, POSTPROCESS_OUTPUTS
from onnxlet.contract.tensors import DATATYPES, DataType, Tensor, TensorSpec, pack_strings
from onnxlet.errors import InferenceError, InvalidTensorError, ManifestError, json_shown
from onnxlet.limits import deadline
from onnxlet.tasks.rows import Batch, Items, Labels, Parameters, Prediction, Rows
from onnxlet.tasks.task import Parts, Task

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tasks.tables import TableTask

TRUTH = {"true": True, "false": False, "1": True, "0": False}
"""Truth values as texts, in lower case."""

INFINITIES = ("inf", "infinity")
"""Texts that stand for an infinity. Any other text that Python reads as one is too large a number."""

SHOWN_COLUMNS = 300
"""Characters of a list of columns that an error shows."""

Value = str | float | bool


class TabularTask(Task):
    """The task of a model that takes rows of a table."""

    def __init__(self, manifest: Manifest, parts: Parts) -> None:
        """Read the columns.

        Raises:
            ManifestError: an input has another number of columns than values for each row.
        """
        super().__init__(manifest, parts)
        task: TableTask = manifest.task  # type: ignore[assignment]
        self._names = [column.name for column in task.columns]
        self._known = dict.fromkeys(self._names).keys()
        specs = {spec.name: spec for spec in manifest.inputs}
        self._parsers = [_parser_of(specs[column.input].datatype) for column in task.columns]
        self._inputs = {
            spec: [place for place, column in enumerate(task.columns) if column.input == spec.name]
            for spec in manifest.inputs
        }
        for spec, places in self._inputs.items():
            if spec.shape is None or len(spec.shape) > 2 or _width(spec, places) != len(places):
                raise ManifestError(
                    f'input "{spec.name}": expected {spec} to have a value for each column, {len(places)}'
                )

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return rows of a table as a batch; each is an object by column, or a list of the columns' values.

        Raises:
            InvalidTensorError: a column is unknown or missing, or a value does not fit its column.
            UnsupportedMediaError: the rows are not those of a table.
        """
        if not isinstance(rows, Items):
            return super().prepare(rows, parameters)
        listed = [self._to_list(row, number) for number, row in enumerate(rows.values, 1)]
        columns = []
        for place, parse in enumerate(self._parsers):
            deadline.check()
            columns.append([self._parse(parse, row[place], number, place) for number, row in enumerate(listed, 1)])
        inputs = {spec.name: self._to_tensor(spec, places, columns) for spec, places in self._inputs.items()}
        return Batch(inputs, rows.rows, context=rows.rows)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Put a classifier's own choice first; without labels, set the answers to the values of the outputs.

        Raises:
            InferenceError: an output does not have a value for each row.
        """
        del parameters
        count = prediction.batch.rows
        if prediction.labels is not None:
            self._put_own_first(prediction, prediction.labels)
            return
        json_tensors.require_json(prediction.outputs.values(), is_nested=True)
        values = {name: _by_row(name, tensor, count) for name, tensor in prediction.outputs.items()}
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        prediction.answers = [next(iter(row.values())) for row in rows] if len(values) == 1 else rows

    def _put_own_first(self, prediction: Prediction, labels: list[Labels]) -> None:
        """Move the label that the model itself gave to a row before those that are more probable.

        A support vector machine decides without its probabilities, and a tie may end either way.
        """
        task: TableTask = self.manifest.task  # type: ignore[assignment]
        if task.label is None:
            return
        own = list(map(str, _by_row(task.label, prediction.outputs[task.label], prediction.batch.rows)))
        everything: list[Labels] | None = None
        for row, ranked in enumerate(labels):
            if ranked[0][0] == own[row]:
                continue
            everything = everything or self._all_labels(prediction)
            first = [entry for entry in everything[row] if entry[0] == own[row]][:1]
            labels[row] = [*first, *(entry for entry in ranked if entry[0] != own[row])][: len(ranked)]

    def _all_labels(self, prediction: Prediction) -> list[Labels]:
        """Return the probabilities of all labels for each row."""
        classification = self.manifest.classification
        assert classification is not None, "only classifiers have labels"
        count = len(classification.labels)
        k = Tensor(DATATYPES["INT64"], (1,), memoryview(count.to_bytes(8, "little")))
        scores = prediction.outputs[self.manifest.class_output()]
        ranked = self.run_postprocess(dict(zip(POSTPROCESS_INPUTS, (scores, k), strict=True)), POSTPROCESS_OUTPUTS)
        indices, probabilities = map(json_tensors.to_nested, ranked)
        return [
            [(classification.labels[index], value) for index, value in zip(*row, strict=True)]
            for row in zip(indices, probabilities, strict=True)
        ]

    def _to_list(self, row: object, number: int) -> Sequence[Any]:
        """Return the values of a row in the order of the columns."""
        if isinstance(row, dict):
            if row.keys() != self._known:
                row = self._expanded(row)
                self._check_names(row, number)
            return [row[name] for name in self._names]
        values = row if isinstance(row, list) else [row]
        if len(values) != len(self._names):
            raise InvalidTensorError(
                f"row {number}: expected {len(self._names)} values, {self._shown_names()}, got {len(values)}"
            )
        return values

    def _expanded(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row by column of one that has a list of several columns' values under the name of their input."""
        expanded: dict[str, Any] = dict(row)
        for spec, places in self._inputs.items():
            values = row.get(spec.name)
            if spec.name not in self._known and isinstance(values, list) and len(values) == len(places):
                del expanded[spec.name]
                expanded |= {self._names[place]: value for place, value in zip(places, values, strict=True)}
        return expanded

    def _check_names(self, row: Mapping[str, Any], number: int) -> None:
        for name in row:
            if name not in self._known:
                raise InvalidTensorError(
                    f"row {number}: the column {json_shown(name)} is unknown, expected {self._shown_names()}"
                )
        for name in self._names:
            if name not in row:
                raise InvalidTensorError(
                    f"row {number}: the column {json_shown(name)} is missing: null stands for no value"
                )

    def _shown_names(self) -> str:
        return ", ".join(self._names)[:SHOWN_COLUMNS]

    def _parse(self, parse: Callable[[Any], Value], value: object, number: int, place: int) -> Value:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        try:
            return parse(value)
        except ValueError as error:
            raise self._error(number, place, str(error), value) from error

    def _error(self, number: int, place: int, expected: str, value: object) -> InvalidTensorError:
        return InvalidTensorError(
            f"row {number}, column {json_shown(self._names[place])}: expected {expected}, got {json_shown(value)}"
        )

    def _to_tensor(self, spec: TensorSpec, places: Sequence[int], columns: Sequence[Sequence[Value]]) -> Tensor:
        """Return the tensor of one input."""
        chosen = [columns[place] for place in places]
        values = chosen[0] if len(chosen) == 1 else list(chain.from_iterable(zip(*chosen, strict=True)))
        count = len(chosen[0])
        shape = (count,) if spec.shape is not None and len(spec.shape) == 1 else (count, len(places))
        if spec.datatype.name == "BYTES":
            return Tensor(spec.datatype, shape, pack_strings(str(value).encode() for value in values))
        try:
            return Tensor(spec.datatype, shape, _pack(spec.datatype, values))
        except (struct.error, OverflowError):
            for place in places:
                self._check_range(spec.datatype, columns[place], place)
            raise

    def _check_range(self, datatype: DataType, values: Sequence[Value], place: int) -> None:
        """Refuse the first value that the datatype cannot hold."""
        for number, value in enumerate(values, 1):
            try:
                _pack(datatype, [value])
            except (struct.error, OverflowError) as error:
                raise self._error(number, place, f"a value that {datatype.name} can hold", value) from error


def _parser_of(datatype: DataType) -> Callable[[Any], Value]:
    """Return the function that turns a client's value into one of a datatype; its ValueError says what is expected."""
    if datatype.name == "BYTES":
        return _parse_text
    if datatype.name == "BOOL":
        return _parse_truth
    return _parse_number if datatype.name.startswith("FP") else _parse_integer


def _parse_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    raise ValueError("a text")


def _parse_number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    text = "" if value is None else value
    if isinstance(text, str) and "_" not in text:  # Python allows it between digits
        try:
            number = float(text) if text and not text.isspace() else math.nan
        except ValueError:
            number = math.inf
        if not math.isinf(number) or text.strip().lower().lstrip("+-") in INFINITIES:
            return number
    raise ValueError("a number")


def _parse_integer(value: object) -> int:
    if type(value) is int:
        return value
    try:
        number = _parse_number(value)
        if number.is_integer():
            return int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdigit() else int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError("an integer")


def _parse_truth(value: object) -> bool:
    parsed = TRUTH.get(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(parsed, int) and parsed in {0, 1}:
        return bool(parsed)
    raise ValueError("true or false")


def _pack(datatype: DataType, values: Sequence[Value]) -> memoryview:
    """Return the binary form of numbers.

    Raises:
        struct.error, OverflowError: a value is out of the datatype's range.
    """
    return memoryview(struct.pack(f"<{len(values)}{datatype.code or 'e'}", *values))


def _width(spec: TensorSpec, places: Sequence[int]) -> int:
    """Return how many values of an input a row has; a free dimension has as many as there are columns."""
    width = spec.shape[1] if spec.shape is not None and len(spec.shape) == 2 else 1
    return len(places) if isinstance(width, str) else width


def _by_row(name: str, tensor: Tensor, count: int | None) -> list[Any]:
    """Return an output's value for each row; a list of one number is the number."""
    if count is None or tensor.shape[:1] != (count,):
        raise InferenceError(
            f'output "{name}": expected a value for each of {count} rows, got the shape {tensor.shape}'
        )
    if math.prod(tensor.shape[1:]) == 1:
        return json_tensors.to_values(tensor)
    values: list[Any] = json_tensors.to_nested(tensor)
    return values
