"""Tensors as they pass between rooms: a datatype, a shape and the bytes; never a numpy array.

The bytes are those of the V2 protocol's binary extension: little endian, row major, without padding; a BYTES element
is its length as four bytes, then its bytes.

Source: Open Inference Protocol V2, `inference_rest.md` (datatypes, tensor data); Triton, `extension_binary_data.md`.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, pairwise
from operator import mul
from typing import Any

from onnxlet.errors import InvalidTensorError, TooLargeError, json_word
from onnxlet.record import Record

Dimension = int | str
"""A fixed size, or the name of a dimension that the request decides ("batch"); `ANY` where the graph names none."""

ANY = "?"

MAX_RANK = 64
"""numpy's, and more than any graph has."""

MAX_VALUES = 4_000_000
"""Values of an answer in JSON, the lists around them included: each takes 32 bytes and more while it is made."""

MAX_EXACT = 2**53
"""The largest float up to which each integer has one of its own."""

MAX_STRINGS = 1_000_000
"""Of a tensor: each is a Python object, and four bytes of a body are enough for one."""


class DataType(Record):
    """One row of the table that every conversion of datatypes reads."""

    name: str
    """As the V2 protocol writes it."""
    onnx: int
    """ONNX's `TensorProto.DataType`."""
    numpy: str
    """numpy's name for it."""
    size_bytes: int
    """Of one element; 0 where elements differ in size."""
    code: str | None
    """The `array` and `memoryview` code; None where JSON has no form for it (FP16) or it is not of fixed size."""

    @property
    def has_json(self) -> bool:
        """Whether JSON has a form for its values."""
        return self.code is not None or self.size_bytes == 0


DATATYPES = {
    row.name: row
    for row in (
        DataType("BOOL", 9, "bool", 1, "?"),
        DataType("UINT8", 2, "uint8", 1, "B"),
        DataType("UINT16", 4, "uint16", 2, "H"),
        DataType("UINT32", 12, "uint32", 4, "I"),
        DataType("UINT64", 13, "uint64", 8, "Q"),
        DataType("INT8", 3, "int8", 1, "b"),
        DataType("INT16", 5, "int16", 2, "h"),
        DataType("INT32", 6, "int32", 4, "i"),
        DataType("INT64", 7, "int64", 8, "q"),
        DataType("FP16", 10, "float16", 2, None),
        DataType("FP32", 1, "float32", 4, "f"),
        DataType("FP64", 11, "float64", 8, "d"),
        DataType("BYTES", 8, "object", 0, None),
    )
}
BY_ONNX = {row.onnx: row for row in DATATYPES.values()}
BY_NUMPY = {row.numpy: row for row in DATATYPES.values()}


class Tensor(Record):
    """A tensor: `buffer` holds its bytes in the protocol's binary form."""

    datatype: DataType
    shape: tuple[int, ...]
    buffer: memoryview

    def __init__(self, datatype: DataType, shape: tuple[int, ...], buffer: memoryview) -> None:
        # Every request makes several tensors: this takes a quarter of the time of a record's general constructor.
        self.datatype, self.shape, self.buffer = datatype, shape, buffer  # type: ignore[misc]


class TensorSpec(Record):
    """What a model declares of one input or output."""

    name: str
    datatype: DataType
    shape: tuple[Dimension, ...] | None
    """None where the graph does not even say the rank."""

    def __str__(self) -> str:
        """As errors show it: `FP32 (batch, 4)`."""
        return f"{self.datatype.name} {_shape_text(self.shape)}"


def check(tensor: Tensor, spec: TensorSpec) -> None:
    """Compare a tensor with its declaration.

    A dimension of 0 fits only where the declaration itself says 0: several of ONNX Runtime's kernels end the process
    or run for minutes on a tensor without elements.

    Raises:
        InvalidTensorError: The tensor has another datatype, rank or size, or a dimension of 0.
    """
    declared = (ANY,) * len(tensor.shape) if spec.shape is None else spec.shape
    if tensor.datatype is not spec.datatype or not _fits(tensor.shape, declared):
        hint = ": each free dimension must be at least 1" if 0 in tensor.shape else ""
        raise InvalidTensorError(
            f'input "{spec.name}": expected {spec}, got {tensor.datatype.name} {_shape_text(tensor.shape)}{hint}'
        )


def _fits(shape: Sequence[int], declared: Sequence[Dimension]) -> bool:
    """Return whether each size is the declared one, or at least 1 where the request decides it.

    Where a declared 0 leaves no elements, no bytes of a request bound the other sizes: `MAX_VALUES` does.
    """
    if len(shape) != len(declared) or (0 in shape and _positions(shape) > MAX_VALUES):
        return False
    return all(size > 0 if isinstance(want, str) else size == want for size, want in zip(shape, declared, strict=True))


def _positions(shape: Iterable[int]) -> int:
    """Return the product of the sizes with 1 in place of 0: the steps of a loop over all dimensions but the empty."""
    return math.prod(max(size, 1) for size in shape)


def zeros(spec: TensorSpec) -> Tensor:
    """A tensor of zeros (or empty strings) that fits `spec`, with 1 for every free dimension."""
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    return Tensor(spec.datatype, shape, memoryview(bytes(math.prod(shape) * (spec.datatype.size_bytes or 4))))


def from_values(name: str, datatype: DataType, shape: tuple[int, ...], data: object) -> Tensor:
    """Make a tensor of JSON values, nested like `shape` or flat in row-major order.

    `null` is NaN for FP32 and FP64; 0 and 1 are BOOL, too; a float such as 1.0 is an integer.

    Raises:
        InvalidTensorError: the data do not have this shape or are not of this datatype.
    """
    values = _flatten(name, shape, data)
    if datatype.name == "BYTES":
        return Tensor(datatype, shape, _pack_strings(name, values))
    if datatype.code is None:
        raise InvalidTensorError(f'input "{name}": {datatype.name} has no JSON form; send it as binary tensor data')
    return Tensor(datatype, shape, _pack_numbers(name, datatype, datatype.code, values))


def _pack_numbers(name: str, datatype: DataType, code: str, values: list[Any]) -> memoryview:
    """The binary form of JSON's numbers."""
    if code == "?":
        _require(name, "true or false for BOOL", values, lambda value: _is_number(value) and value in {0, 1})
        return memoryview(bytes(map(bool, values)))
    try:
        elements = array(code, values)
    except TypeError:  # values that `array` does not take as they are
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
    """Refuse a value that does not fit, by its position in row-major order."""
    for position, value in enumerate(values):
        if not fits(value):
            found = value if type(value) in {int, float} else json_word(value)
            raise InvalidTensorError(f'input "{name}": expected {expected}, got {found} at position {position}')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_integer(value: object) -> bool:
    return isinstance(value, int)


def _to_float(value: Any) -> Any:
    """JSON has `null` for NaN: answers have it so, too."""
    return math.nan if value is None else value


def _to_integer(value: Any) -> Any:
    """The integer that a number such as 1.0 is, if it surely is the one that the client wrote."""
    is_exact = isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT
    return int(value) if is_exact else value


def _may_hold_infinity(buffer: memoryview) -> bool:
    """Whether the bytes of FP32's infinities are among these, be it across two values.

    `array` makes an infinity of what FP32 cannot hold.
    """
    data = bytes(buffer)
    return b"\0\0\x80\x7f" in data or b"\0\0\x80\xff" in data


def from_bytes(name: str, datatype: DataType, shape: tuple[int, ...], buffer: memoryview) -> Tensor:
    """Make a tensor of bytes in the protocol's binary form; they are not copied.

    Raises:
        InvalidTensorError: the bytes are not as many as the shape says, or no values of this datatype.
    """
    if datatype.name == "BYTES":
        found, expected, unit = len(unpack_strings(buffer)), math.prod(shape), "elements"
    else:
        found, expected, unit = len(buffer), math.prod(shape) * datatype.size_bytes, "bytes"
    if found != expected:
        raise InvalidTensorError(
            f'input "{name}": expected {expected} {unit} for {datatype.name} {_shape_text(shape)}, got {found}'
        )
    if datatype.name == "BOOL" and max(buffer, default=0) > 1:
        raise InvalidTensorError(f'input "{name}": expected bytes 0 or 1 for BOOL')
    return Tensor(datatype, shape, buffer)


def to_values(tensor: Tensor) -> list[Any]:
    """The tensor's elements as JSON values, flat in row-major order.

    Raises:
        InvalidTensorError: FP16, which has no JSON form.
        TooLargeError: more than `MAX_VALUES`.
    """
    require_json([tensor])
    if tensor.datatype.name == "BYTES":
        return [element.decode("utf-8", "replace") for element in unpack_strings(tensor.buffer)]
    if tensor.datatype.code is None:
        raise InvalidTensorError(f"an output is {tensor.datatype.name}, which has no JSON form; ask for binary data")
    values: list[Any] = tensor.buffer.cast(tensor.datatype.code).tolist()  # type: ignore[call-overload]
    return values


def require_json(tensors: Iterable[Tensor], *, is_nested: bool = False) -> None:
    """Refuse tensors that would become too much JSON, before any of it is made.

    Args:
        tensors: The outputs of one answer.
        is_nested: Whether each tensor becomes lists inside lists, which are counted too.

    Raises:
        TooLargeError: They would become more than `MAX_VALUES` values.
    """
    count = 0
    for tensor in tensors:
        count += _positions(tensor.shape)
        if is_nested:
            count += sum(accumulate((max(size, 1) for size in tensor.shape[:-1]), mul))
    if count > MAX_VALUES:
        raise TooLargeError(
            f"the answer has {count} values, expected at most {MAX_VALUES} in JSON: ask for fewer rows or outputs, or "
            "for binary data"
        )


def from_nested(name: str, datatype: DataType, data: object) -> Tensor:
    """Make a tensor of nested JSON values, whose nesting is its shape; raises as `from_values`."""
    shape: list[int] = []
    value = data
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
        if len(shape) > MAX_RANK:
            raise InvalidTensorError(f'input "{name}": expected at most {MAX_RANK} dimensions')
    return from_values(name, datatype, tuple(shape), data)


def to_nested(tensor: Tensor) -> Any:
    """The tensor's elements as JSON values, nested as its shape; raises as `to_values`."""
    require_json([tensor], is_nested=True)
    values: Any = to_values(tensor)
    if not tensor.shape:
        return values[0]
    for axis in range(len(tensor.shape) - 1, 0, -1):
        size, count = tensor.shape[axis], math.prod(tensor.shape[:axis])
        values = [values[row * size : (row + 1) * size] for row in range(count)]
    return values


def join(tensors: Sequence[Tensor]) -> Tensor:
    """One tensor of the rows of several, which differ in their first dimension alone."""
    if len(tensors) == 1:
        return tensors[0]
    rows = sum(tensor.shape[0] for tensor in tensors)
    buffer = memoryview(b"".join(tensor.buffer for tensor in tensors))
    return Tensor(tensors[0].datatype, (rows, *tensors[0].shape[1:]), buffer)


def split(tensor: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """The rows of a tensor as several, with so many rows each: the reverse of `join`."""
    if len(counts) == 1:
        return [tensor]
    width = math.prod(tensor.shape[1:])
    ends = _string_ends(tensor.buffer) if tensor.datatype.name == "BYTES" else None
    parts = []
    row = 0
    for count in counts:
        start, stop = row * width, (row + count) * width
        row += count
        if ends is None:
            size_bytes = tensor.datatype.size_bytes
            buffer = tensor.buffer[start * size_bytes : stop * size_bytes]
        else:
            buffer = tensor.buffer[ends[start] : ends[stop]]
        parts.append(Tensor(tensor.datatype, (count, *tensor.shape[1:]), buffer))
    return parts


def pack_strings(elements: Iterable[bytes]) -> memoryview:
    """The binary form of BYTES elements."""
    return memoryview(b"".join(struct.pack("<I", len(element)) + element for element in elements))


def unpack_strings(buffer: memoryview) -> list[bytes]:
    """The elements of a BYTES tensor.

    Raises:
        InvalidTensorError: a length that leaves the buffer.
    """
    ends = _string_ends(buffer)
    return [bytes(buffer[start + 4 : end]) for start, end in pairwise(ends)]


def require_few_strings(count: int) -> None:
    """Refuse an output of too many strings, before any of them is made.

    Raises:
        TooLargeError: There are more than `MAX_STRINGS`.
    """
    if count > MAX_STRINGS:
        raise TooLargeError(f"an output has {count} strings, expected at most {MAX_STRINGS}: ask for fewer rows")


def _string_ends(buffer: memoryview) -> list[int]:
    """Where the elements of a BYTES tensor end, beginning with 0; raises as `unpack_strings`."""
    ends = [0]
    while ends[-1] < len(buffer):
        start = ends[-1] + 4
        end = start + int.from_bytes(buffer[ends[-1] : start], "little")
        if start > len(buffer) or end > len(buffer):
            raise InvalidTensorError(f"BYTES data: element {len(ends) - 1} ends at byte {end} of {len(buffer)}")
        if len(ends) > MAX_STRINGS:
            raise TooLargeError(f"BYTES data: expected at most {MAX_STRINGS} elements, got more")
        ends.append(end)
    return ends


def _pack_strings(name: str, values: Sequence[Any]) -> memoryview:
    _require(name, "strings for BYTES", values, lambda value: isinstance(value, str | bytes))
    return pack_strings(value.encode() if isinstance(value, str) else value for value in values)


def _flatten(name: str, shape: tuple[int, ...], data: object) -> list[Any]:
    """The elements in row-major order; where they are nested, each level must have the size that the shape says."""
    values: list[Any] = data if isinstance(data, list) else [data]
    if values and isinstance(values[0], list):
        values = [values]
        for size in shape:
            if not all(isinstance(row, list) and len(row) == size for row in values):
                raise InvalidTensorError(f'input "{name}": data are not nested as the shape {_shape_text(shape)} says')
            values = list(chain.from_iterable(values))
    if len(values) != math.prod(shape):
        raise InvalidTensorError(
            f'input "{name}": expected {math.prod(shape)} values for the shape {_shape_text(shape)}, got {len(values)}'
        )
    return values


def _shape_text(shape: Sequence[Dimension] | None) -> str:
    if shape is None:
        return "of any rank"
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
