"""ELF: which processor a library is for, and which other libraries it loads.

Source: System V ABI, chapters 4 (ELF header) and 5 (program header, dynamic section); little-endian 64-bit files only,
which is all that both clouds run.
"""

import struct
from dataclasses import dataclass

from onnxlet.errors import ArtifactError

MAGIC = b"\x7fELF"
CLASS_64_LITTLE_ENDIAN = b"\x02\x01"

X86_64 = 62
AARCH64 = 183

MACHINE_NAMES = {X86_64: "x86_64", AARCH64: "aarch64"}

LOAD = 1
DYNAMIC = 2
"""Types of program headers."""

END = 0
NEEDED = 1
STRING_TABLE = 5
"""Tags of dynamic entries."""


@dataclass(frozen=True)
class Library:
    """What is read of one file."""

    machine: int
    needed: tuple[str, ...]
    """The names of the libraries that it loads, as its linker wrote them."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def is_elf(data: bytes) -> bool:
    """Whether a file of any name is an ELF file, by its first bytes."""
    return data.startswith(MAGIC)


def machine_name(machine: int) -> str:
    """A processor's name, or its number in ELF."""
    return MACHINE_NAMES.get(machine, f"ELF machine {machine}")


def parse_library(data: bytes, path: str) -> Library:
    """Read a library; `path` names it in errors.

    Raises:
        ArtifactError: not a 64-bit little-endian ELF file, or a damaged one.
    """
    if not is_elf(data) or data[4:6] != CLASS_64_LITTLE_ENDIAN:
        raise ArtifactError(f"{path}: expected a 64-bit little-endian ELF file")
    try:
        return Library(struct.unpack_from("<H", data, 18)[0], tuple(_needed(data)))
    except (struct.error, ValueError, OverflowError, StopIteration) as error:  # offsets that lead out of the file
        raise ArtifactError(f"{path}: a damaged ELF file: {error}") from error


def _needed(data: bytes) -> list[str]:
    segments = _segments(data)
    dynamic = next((segment for segment in segments if segment.kind == DYNAMIC), None)
    if dynamic is None:
        return []
    entries = _dynamic_entries(data, dynamic)
    strings = next(value for tag, value in entries if tag == STRING_TABLE)
    start = _offset_of(strings, segments)
    return [_text_at(data, start + value) for tag, value in entries if tag == NEEDED]


def _segments(data: bytes) -> list[_Segment]:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for index in range(count):
        kind, _flags, offset, address, _physical, in_file = struct.unpack_from("<IIQQQQ", data, table + index * size)
        found.append(_Segment(kind, offset, address, in_file))
    return found


def _dynamic_entries(data: bytes, dynamic: _Segment) -> list[tuple[int, int]]:
    entries = []
    for offset in range(dynamic.offset, dynamic.offset + dynamic.size, 16):
        tag, value = struct.unpack_from("<qQ", data, offset)
        if tag == END:
            break
        entries.append((tag, value))
    return entries


def _offset_of(address: int, segments: list[_Segment]) -> int:
    """Where in the file lies what is loaded at an address."""
    segment = next(
        segment for segment in segments if segment.kind == LOAD and 0 <= address - segment.address < segment.size
    )
    return address - segment.address + segment.offset


def _text_at(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode("ascii", "replace")
