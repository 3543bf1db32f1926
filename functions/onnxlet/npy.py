"""The `.npy` file: one array of numbers, read without numpy and without ever unpickling anything.

Source: NumPy Enhancement Proposal 1 and `numpy.lib.format`, versions 1.0 to 3.0.
"""

import ast

from onnxlet.config import MAX_NPY_HEADER_BYTES
from onnxlet.contract.tensors import BY_NUMPY, DATATYPES, MAX_RANK, Tensor, from_bytes
from onnxlet.errors import UnreadablePayloadError

MAGIC = b"\x93NUMPY"

_KINDS = {"b": "bool", "u": "uint", "i": "int", "f": "float"}


def decode(body: bytes) -> Tensor:
    """Read a file.

    Raises:
        UnreadablePayloadError: not such a file, or an array in a form that we do not take.
        InvalidTensorError: fewer or more bytes than its shape says.
    """
    if not body.startswith(MAGIC):
        raise UnreadablePayloadError(f"expected a .npy file, got {len(body)} bytes that are none")
    length_bytes = 2 if body[6:7] == b"\x01" else 4
    start = 8 + length_bytes
    end = start + int.from_bytes(body[8:start], "little")
    if not start < end <= min(len(body), MAX_NPY_HEADER_BYTES):
        raise UnreadablePayloadError(
            f"the .npy header ends at byte {end} of {len(body)}, expected {MAX_NPY_HEADER_BYTES} at most"
        )
    description, is_column_major, shape = _parse_header(body[start:end])
    datatype = DATATYPES.get(_datatype_name(description))
    if datatype is None:
        found = description[:20] if isinstance(description, str) else type(description).__name__
        raise UnreadablePayloadError(f"the .npy array has the type {found!r}, expected little-endian numbers")
    if is_column_major and len(shape) > 1:
        raise UnreadablePayloadError("the .npy array is column major, expected numpy.ascontiguousarray of it")
    return from_bytes(".npy", datatype, shape, memoryview(body)[end:])


def _parse_header(header: bytes) -> tuple[object, bool, tuple[int, ...]]:
    """The type, the order and the shape that a header names."""
    try:
        fields = ast.literal_eval(header.decode("utf-8").strip())
        description, is_column_major, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise UnreadablePayloadError(f"the .npy header is no header: {error!r:.100}") from error
    is_shape = isinstance(shape, tuple) and len(shape) <= MAX_RANK
    if not is_shape or not all(type(size) is int and 0 <= size < 2**40 for size in shape):
        raise UnreadablePayloadError("the .npy header has a shape that is not a tuple of sizes")
    return description, bool(is_column_major), shape


def _datatype_name(description: object) -> str:
    """Our name for numpy's type, as `<f4`; empty where we have none."""
    if not isinstance(description, str) or len(description) != 3 or description[1] not in _KINDS:
        return ""
    order, kind, size = description[0], description[1], description[2]
    if not (size.isascii() and size.isdigit()) or order not in "<|=":
        return ""
    name = _KINDS[kind] if kind == "b" else f"{_KINDS[kind]}{int(size) * 8}"
    found = BY_NUMPY.get(name)
    return found.name if found else ""
