"""JSON tensors: tensors made from JSON values, and the JSON values of tensors."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from operator import mul
from typing import Any

from onnxlet.contract.tensors import (
    MAX_RANK,
    MAX_VALUES,
    DataType,
    Tensor,
    count_positions,
    pack_strings,
    shape_text,
    unpack_strings,
)
from onnxlet.errors import InvalidTensorError, TooLargeError, json_word

MAX_EXACT = 2**53
"""The largest float below which all integers have exact floats."""


def from_values(name: str, datatype: DataType, shape: tuple[int, ...], data: object) -> Tensor:
    """Return a tensor of JSON values, which are nested like `shape`, or flat in row-major order.

    `null` becomes NaN for FP32 and FP64, 0 and 1 are also BOOL, and a float such as 1.0 is also an integer.

    Raises:
        InvalidTensorError: the data do not fit the shape or the datatype.
    """
    values = _flatten(name, shape, data)
    if datatype.name == "BYTES":
        return Tensor(datatype, shape, _pack_strings(name, values))
    if datatype.code is None:
        raise InvalidTensorError(f'input "{name}": {datatype.name} has no JSON form; send it as binary tensor data')
    return Tensor(datatype, shape, _pack_numbers(name, datatype, datatype.code, values))


def from_nested(name: str, datatype: DataType, data: object) -> Tensor:
    """Return a tensor of nested JSON values, whose nesting is its shape; raises the errors of `from_values`."""
    shape: list[int] = []
    value = data
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
        if len(shape) > MAX_RANK:
            raise InvalidTensorError(f'input "{name}": expected at most {MAX_RANK} dimensions')
    return from_values(name, datatype, tuple(shape), data)


def to_values(tensor: Tensor) -> list[Any]:
    """Return a tensor's elements as JSON values, flat in row-major order.

    Raises:
        InvalidTensorError: the tensor is FP16, which has no JSON form.
        TooLargeError: it has more than `MAX_VALUES` values.
    """
    require_json([tensor])
    if tensor.datatype.name == "BYTES":
        return [element.decode("utf-8", "replace") for element in unpack_strings(tensor.buffer)]
    if tensor.datatype.code is None:
        raise InvalidTensorError(
            f"an output is {tensor.datatype.name}, which has no JSON form: request it as binary data"
        )
    values: list[Any] = tensor.buffer.cast(tensor.datatype.code).tolist()  # type: ignore[call-overload]
    return values


def to_nested(tensor: Tensor) -> Any:
    """Return a tensor's elements as JSON values, nested as its shape; raises the errors of `to_values`."""
    require_json([tensor], is_nested=True)
    values: Any = to_values(tensor)
    if not tensor.shape:
        return values[0]
    for axis in range(len(tensor.shape) - 1, 0, -1):
        size, count = tensor.shape[axis], math.prod(tensor.shape[:axis])
        values = [values[row * size : (row + 1) * size] for row in range(count)]
    return values


def require_json(tensors: Iterable[Tensor], *, is_nested: bool = False) -> None:
    """Refuse tensors with too many values for JSON, before any value is made.

    Args:
        tensors: The outputs of one response.
        is_nested: Whether each tensor becomes lists inside lists, which are counted too.

    Raises:
        TooLargeError: the tensors would become more than `MAX_VALUES` values.
    """
    count = 0
    for tensor in tensors:
        count += count_positions(tensor.shape)
        if is_nested:
            count += sum(accumulate((max(size, 1) for size in tensor.shape[:-1]), mul))
    if count > MAX_VALUES:
        raise TooLargeError(
            f"the answer has {count} values, expected at most {MAX_VALUES} in JSON: request fewer rows or outputs, or "
            "binary data"
        )


def _pack_numbers(name: str, datatype: DataType, code: str, values: list[Any]) -> memoryview:
    """Return the binary form of JSON's numbers."""
    if code == "?":
        _require(name, "true or false for BOOL", values, lambda value: _is_number(value) and value in {0, 1})
        return memoryview(bytes(map(bool, values)))
    try:
        elements = array(code, values)
    except TypeError:  # `array` takes neither None nor floats for integers
        is_float = code in "fd"
        values = [_to_float(value) if is_float else _to_integer(value) for value in values]
        fits = _is_number if is_float else _is_integer
        _require(name, f"{datatype.name} values", values, fits)
        return _pack_numbers(name, datatype, code, values)
    except OverflowError as error:
        raise InvalidTensorError(f'input "{name}": expected {datatype.name} values, but {error}') from error
    buffer = memoryview(elements).cast("B")
    if code == "f" and _may_hold_infinity(buffer):
        pairs = zip(elements, values, strict=True)
        if any(math.isinf(element) and not math.isinf(value) for element, value in pairs):
            raise InvalidTensorError(f'input "{name}": expected FP32 values, but one is too large')
    return buffer


def _require(name: str, expected: str, values: Sequence[Any], fits: Callable[[Any], bool]) -> None:
    """Refuse a value that does not fit, and name its position in row-major order."""
    for position, value in enumerate(values):
        if not fits(value):
            text = value if type(value) in {int, float} else json_word(value)
            raise InvalidTensorError(f'input "{name}": expected {expected}, got {text} at position {position}')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_integer(value: object) -> bool:
    return isinstance(value, int)


def _to_float(value: Any) -> Any:
    """Return NaN for `null`, which responses also contain for NaN."""
    return math.nan if value is None else value


def _to_integer(value: Any) -> Any:
    """Return the integer for a float such as 1.0, if the float is certainly the number that the client wrote."""
    is_exact = isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT
    return int(value) if is_exact else value


def _may_hold_infinity(buffer: memoryview) -> bool:
    """Return whether the bytes of an FP32 infinity appear, perhaps across two values.

    `array` turns numbers that FP32 cannot hold into infinities.
    """
    data = bytes(buffer)
    return b"\0\0\x80\x7f" in data or b"\0\0\x80\xff" in data


def _pack_strings(name: str, values: Sequence[Any]) -> memoryview:
    _require(name, "strings for BYTES", values, lambda value: isinstance(value, str | bytes))
    return pack_strings(value.encode() if isinstance(value, str) else value for value in values)


def _flatten(name: str, shape: tuple[int, ...], data: object) -> list[Any]:
    """Return the elements in row-major order; each level of nested data must have the size that the shape has."""
    values: list[Any] = data if isinstance(data, list) else [data]
    if values and isinstance(values[0], list):
        values = [values]
        for size in shape:
            if not all(isinstance(row, list) and len(row) == size for row in values):
                raise InvalidTensorError(f'input "{name}": expected data nested as the shape {shape_text(shape)}')
            values = list(chain.from_iterable(values))
    if len(values) != math.prod(shape):
        raise InvalidTensorError(
            f'input "{name}": expected {math.prod(shape)} values for the shape {shape_text(shape)}, got {len(values)}'
        )
    return values
