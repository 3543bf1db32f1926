"""Files of the type `.npy`: one array of numbers, read without numpy and without unpickling anything.

Source: NumPy Enhancement Proposal 1 and `numpy.lib.format`, versions 1.0 to 3.0.
"""

import re

from onnxlet.contract.tensors import BY_NUMPY, DATATYPES, MAX_RANK, Tensor, from_bytes
from onnxlet.errors import UnreadablePayloadError
from onnxlet.limits import MAX_NPY_HEADER_BYTES

MAGIC = b"\x93NUMPY"

MAX_SIZE = 2**40

_TEXT, _FLAG, _SIZES = r"""(?:'[^'"]*'|"[^'"]*")""", "(?:True|False)", r"\([0-9L,\s]*\)"
_ENTRY = re.compile(
    rf"""\s*(?:'(?P<name>[a-z_]+)'|"(?P<same>[a-z_]+)")\s*:\s*(?P<value>{_TEXT}|{_FLAG}|{_SIZES})\s*(?P<end>,|\}}|$)"""
)
"""One entry of the header, which is a dictionary as numpy and writers in other languages write it."""

_SIZE = re.compile(r"([0-9]{1,13})L?")
"""One size of a shape. Python 2 wrote large sizes with an L."""

_KINDS = {"b": "bool", "u": "uint", "i": "int", "f": "float"}


def decode(body: bytes) -> Tensor:
    """Return the array of a file.

    Raises:
        UnreadablePayloadError: the file is not an .npy file, or its array is not supported.
        InvalidTensorError: the file has fewer or more bytes than its shape says.
    """
    if not body.startswith(MAGIC):
        raise UnreadablePayloadError(f"expected an .npy file, got {len(body)} bytes of another format")
    if body[6:7] not in {b"\x01", b"\x02", b"\x03"}:
        raise UnreadablePayloadError(f"the .npy file has the version {body[6:7].hex() or 'none'}, expected 1, 2 or 3")
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
        raise UnreadablePayloadError(
            f"the .npy array has the type {description[:20]!r}, expected little-endian numbers"
        )
    if is_column_major and len(shape) > 1:
        raise UnreadablePayloadError("the .npy array is column major, expected numpy.ascontiguousarray of it")
    return from_bytes(".npy", datatype, shape, memoryview(body)[end:])


def _parse_header(header: bytes) -> tuple[str, bool, tuple[int, ...]]:
    """Return the type, the order and the shape in a header.

    A header is a dictionary as Python writes it. Python's own parsers accept much more than that, and recurse.

    Raises:
        UnreadablePayloadError: the header is not a dictionary with exactly these three entries.
    """
    fields = _entries(header.decode("latin-1").strip())
    if fields.keys() != {"descr", "fortran_order", "shape"}:
        raise _malformed("expected a dictionary of descr, fortran_order and shape, of numbers of one type")
    description, order, sizes = fields["descr"], fields["fortran_order"], fields["shape"]
    if description[0] not in "'\"" or order not in {"True", "False"} or sizes[0] != "(":
        raise _malformed("expected a text as descr, True or False as fortran_order, and a tuple as shape")
    return description[1:-1], order == "True", _parse_sizes(sizes[1:-1])


def _entries(text: str) -> dict[str, str]:
    """Return the values of a dictionary as written; an empty dict if it contains anything but plain values."""
    fields: dict[str, str] = {}
    if not text.startswith("{"):
        return {}
    position = 1
    while match := _ENTRY.match(text, position):
        name = match["name"] or match["same"]
        if name in fields or not match["end"]:
            return {}
        fields[name] = match["value"]
        position = match.end()
        if match["end"] == "}":
            return fields if position == len(text) else {}
    return fields if text[position:].strip() == "}" else {}


def _parse_sizes(text: str) -> tuple[int, ...]:
    """Return the sizes of a tuple: `3, 4`, `3,` or nothing."""
    *parts, last = text.split(",")
    if last.strip():
        if not parts:
            raise _malformed("expected a tuple as shape, got a number in parentheses")
        parts.append(last)
    matches = [_SIZE.fullmatch(part.strip()) for part in parts[: MAX_RANK + 1]]
    sizes = tuple(int(match[1]) for match in matches if match is not None)
    if len(sizes) != len(parts) or len(sizes) > MAX_RANK or max(sizes, default=0) >= MAX_SIZE:
        raise _malformed(f"expected at most {MAX_RANK} sizes below {MAX_SIZE} as shape")
    return sizes


def _malformed(text: str) -> UnreadablePayloadError:
    return UnreadablePayloadError(f"the .npy header is malformed: {text}")


def _datatype_name(description: str) -> str:
    """Return V2's name of the datatype for numpy's, such as `<f4`; empty if V2 does not have it."""
    if len(description) != 3 or description[1] not in _KINDS:
        return ""
    order, kind, size = description[0], description[1], description[2]
    if not (size.isascii() and size.isdigit()) or order not in "<|=":
        return ""
    name = _KINDS[kind] if kind == "b" else f"{_KINDS[kind]}{int(size) * 8}"
    datatype = BY_NUMPY.get(name)
    return datatype.name if datatype else ""
