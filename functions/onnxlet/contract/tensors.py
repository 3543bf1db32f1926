"""Tensors as they pass between packages: a datatype, a shape and the bytes; never a numpy array.

The bytes are those of the V2 protocol's binary extension: little endian, row major, without padding. A BYTES element
is its length in four bytes, followed by its own bytes.

Source: Open Inference Protocol V2, `inference_rest.md` (datatypes, tensor data); Triton, `extension_binary_data.md`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

from onnxlet.errors import InvalidTensorError, TooLargeError
from onnxlet.record import Record

Dimension = int | str
"""A fixed size, or the name of a free dimension, whose size the request decides: `batch`, or `ANY` without a name."""

ANY = "?"

MAX_RANK = 64
"""Dimensions of a tensor, as in numpy; no graph has more."""

MAX_VALUES = 4_000_000
"""Values of a response in JSON, including the lists around them: each takes 32 bytes or more while it is made."""

MAX_STRINGS = 1_000_000
"""Strings of a tensor: each becomes a Python object, although it may take only four bytes of a body."""


class DataType(Record):
    """One row of the table that every conversion of datatypes uses."""

    name: str
    """The name in the V2 protocol."""
    onnx: int
    """The number in ONNX's `TensorProto.DataType`."""
    numpy: str
    """The name in numpy."""
    size_bytes: int
    """The size of one element; 0 if elements differ in size."""
    code: str | None
    """The code of `array` and `memoryview`; None for FP16 and BYTES, which have no code."""

    @property
    def has_json(self) -> bool:
        """Whether JSON can hold its values."""
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
    """A tensor, whose `buffer` holds the elements in the protocol's binary form."""

    datatype: DataType
    shape: tuple[int, ...]
    buffer: memoryview

    def __init__(self, datatype: DataType, shape: tuple[int, ...], buffer: memoryview) -> None:
        # Every request makes several tensors: this takes a quarter of the time of a record's general constructor.
        self.datatype, self.shape, self.buffer = datatype, shape, buffer  # type: ignore[misc]


class TensorSpec(Record):
    """A model's declaration of one input or output."""

    name: str
    datatype: DataType
    shape: tuple[Dimension, ...] | None
    """The dimensions; None if the graph does not declare a rank."""

    def __str__(self) -> str:
        """Return the text for errors, for instance `FP32 (batch, 4)`."""
        return f"{self.datatype.name} {shape_text(self.shape)}"


def check(tensor: Tensor, spec: TensorSpec) -> None:
    """Compare a tensor with its declaration.

    A dimension of 0 fits only a declared 0: on a tensor without elements, several of ONNX Runtime's kernels end the
    process or run for minutes.

    Raises:
        InvalidTensorError: the tensor has another datatype, rank or size, or a dimension of 0.
    """
    declared = (ANY,) * len(tensor.shape) if spec.shape is None else spec.shape
    if tensor.datatype is not spec.datatype or not _fits(tensor.shape, declared):
        hint = ": each free dimension must be at least 1" if 0 in tensor.shape else ""
        raise InvalidTensorError(
            f'input "{spec.name}": expected {spec}, got {tensor.datatype.name} {shape_text(tensor.shape)}{hint}'
        )


def _fits(shape: Sequence[int], declared: Sequence[Dimension]) -> bool:
    """Return whether each size is the declared one, or at least 1 in a free dimension.

    If a declared 0 leaves no elements, the bytes of a request do not limit the other sizes: `MAX_VALUES` does.
    """
    if len(shape) != len(declared) or (0 in shape and count_positions(shape) > MAX_VALUES):
        return False
    return all(size > 0 if isinstance(want, str) else size == want for size, want in zip(shape, declared, strict=True))


def count_positions(shape: Iterable[int]) -> int:
    """Return the product of the sizes with 1 instead of 0: the steps of a loop over all dimensions with elements."""
    return math.prod(max(size, 1) for size in shape)


def shape_text(shape: Sequence[Dimension] | None) -> str:
    """Return a shape as errors show it, for instance `(batch, 4)`."""
    if shape is None:
        return "of any rank"
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def zeros(spec: TensorSpec) -> Tensor:
    """Return a tensor of zeros or empty strings that fits `spec`, with 1 for every free dimension."""
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    return Tensor(spec.datatype, shape, memoryview(bytes(math.prod(shape) * (spec.datatype.size_bytes or 4))))


def from_bytes(name: str, datatype: DataType, shape: tuple[int, ...], buffer: memoryview) -> Tensor:
    """Return a tensor over bytes in the protocol's binary form, without a copy.

    Raises:
        InvalidTensorError: the shape needs more or fewer bytes, or they are not values of this datatype.
    """
    if datatype.name == "BYTES":
        count, expected, unit = len(unpack_strings(buffer)), math.prod(shape), "elements"
    else:
        count, expected, unit = len(buffer), math.prod(shape) * datatype.size_bytes, "bytes"
    if count != expected:
        raise InvalidTensorError(
            f'input "{name}": expected {expected} {unit} for {datatype.name} {shape_text(shape)}, got {count}'
        )
    if datatype.name == "BOOL" and max(buffer, default=0) > 1:
        raise InvalidTensorError(f'input "{name}": expected bytes 0 or 1 for BOOL')
    return Tensor(datatype, shape, buffer)


def join(tensors: Sequence[Tensor]) -> Tensor:
    """Return one tensor with the rows of several, whose shapes differ only in the first dimension."""
    if len(tensors) == 1:
        return tensors[0]
    rows = sum(tensor.shape[0] for tensor in tensors)
    buffer = memoryview(b"".join(tensor.buffer for tensor in tensors))
    return Tensor(tensors[0].datatype, (rows, *tensors[0].shape[1:]), buffer)


def split(tensor: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Return tensors with `counts` rows of one tensor each: the reverse of `join`."""
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
    """Return the binary form of BYTES elements."""
    return memoryview(b"".join(struct.pack("<I", len(element)) + element for element in elements))


def unpack_strings(buffer: memoryview) -> list[bytes]:
    """Return the elements of a BYTES tensor.

    Raises:
        InvalidTensorError: an element does not end inside the buffer.
        TooLargeError: there are more than `MAX_STRINGS` elements.
    """
    ends = _string_ends(buffer)
    return [bytes(buffer[start + 4 : end]) for start, end in pairwise(ends)]


def require_few_strings(count: int) -> None:
    """Refuse an output of too many strings, before any of them is made.

    Raises:
        TooLargeError: there are more than `MAX_STRINGS`.
    """
    if count > MAX_STRINGS:
        raise TooLargeError(f"an output has {count} strings, expected at most {MAX_STRINGS}: request fewer rows")


def _string_ends(buffer: memoryview) -> list[int]:
    """Return 0 and the positions at which the elements of a BYTES tensor end; raises the errors of `unpack_strings`."""
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
