"""ELF files: the processor that a library is for, and the libraries that it loads."""

from dataclasses import dataclass
from io import BytesIO

from onnxlet_cli.errors import PackageError

MAGIC = b"\x7fELF"
CLASS_64_LITTLE_ENDIAN = b"\x02\x01"
"""Bytes 4 and 5 of the header: the only kind of ELF that both clouds run."""

NEEDED = "needed"
"""The attribute that pyelftools sets on a tag of this type, without declaring it."""

X86_64 = 62
AARCH64 = 183

MACHINE_NAMES = {X86_64: "x86_64", AARCH64: "aarch64"}


@dataclass(frozen=True)
class Library:
    """The facts that packaging needs of a library."""

    machine: int
    needed: tuple[str, ...]
    """The names of the libraries that it loads, as its linker wrote them."""


def is_elf(data: bytes) -> bool:
    """Return whether a file of any name is an ELF file, by its first bytes."""
    return data.startswith(MAGIC)


def machine_name(machine: int) -> str:
    """Return the name of a processor, or its number in ELF."""
    return MACHINE_NAMES.get(machine, f"ELF machine {machine}")


def without_symbols(data: bytes) -> bytes:
    """Return a library without what follows its segments: symbols for debuggers, and the table of sections.

    The loader of a process reads only segments.

    Source: System V ABI, "Object Files", ELF header and program header.
    """
    segments_start, segment_bytes, segments = _u64(data, 32), _u16(data, 54), _u16(data, 56)
    starts = [segments_start + index * segment_bytes for index in range(segments)]
    end = max(_u64(data, start + 8) + _u64(data, start + 32) for start in starts)
    kept = bytearray(data[: max(end, segments_start + segments * segment_bytes)])
    kept[40:48] = bytes(8)  # where the table of sections is,
    kept[58:64] = bytes(6)  # the size of its entries, their number, and which has their names
    return bytes(kept)


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def parse_library(data: bytes, path: str) -> Library:
    """Read a library; `path` names it in errors.

    Raises:
        PackageError: The file is damaged, or not a 64-bit little-endian ELF file.
    """
    if not is_elf(data) or data[4:6] != CLASS_64_LITTLE_ENDIAN:
        raise PackageError(f"{path}: expected a 64-bit little-endian ELF file")
    # Imported only here: the doctor, which reads only headers, needs no parser.
    from elftools.common.exceptions import ELFError
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

    try:
        segments = [one for one in ELFFile(BytesIO(data)).iter_segments() if isinstance(one, DynamicSegment)]
        needed = tuple(str(getattr(tag, NEEDED)) for segment in segments for tag in segment.iter_tags("DT_NEEDED"))
    except (ELFError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PackageError(f"{path}: a damaged ELF file: {error}") from error  # pyelftools trusts offsets and types
    return Library(int.from_bytes(data[18:20], "little"), needed)
