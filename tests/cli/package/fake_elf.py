"""Libraries of a few bytes: enough of ELF to say their processor and what they load."""

import struct
from collections.abc import Sequence

from onnxlet_cli.package import elf

HEADER_BYTES = 64
SEGMENT_BYTES = 56
LOAD, DYNAMIC = 1, 2
"""Types of program headers."""
END, NEEDED, STRING_TABLE = 0, 1, 5
"""Tags of dynamic entries."""
ADDRESS = 0x400000
"""Where the file is loaded: an address is not an offset."""


def library(machine: int = elf.AARCH64, needed: Sequence[str] = ()) -> bytes:
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
    start = HEADER_BYTES + 2 * SEGMENT_BYTES
    entries = [*((NEEDED, offset) for offset in offsets), (STRING_TABLE, ADDRESS + start), (END, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    size = start + len(strings) + len(dynamic)
    header = elf.MAGIC + elf.CLASS_64_LITTLE_ENDIAN + b"\1" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, HEADER_BYTES, 0, 0, HEADER_BYTES, SEGMENT_BYTES, 2, 0, 0, 0
    )
    segments = _segment(LOAD, 0, size) + _segment(DYNAMIC, start + len(strings), len(dynamic))
    return header + segments + strings + dynamic


def _segment(kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 4, offset, ADDRESS + offset, ADDRESS + offset, size, size, 8)
