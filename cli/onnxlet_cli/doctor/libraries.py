"""The processors of compiled libraries, read from the first bytes of their files."""

import re
from collections.abc import Iterable, Iterator

from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_cli.package import elf

HEADER_BYTES = 64
"""The size of an ELF header; the processor stands at byte 18 (System V ABI, chapter 4)."""

OLDEST_ONNXRUNTIME = (1, 26)
"""Older ones abort on Lambda's arm64 while they are loaded (onnxruntime #10038), and cannot map weights in place."""

SUFFIXES = (".so", ".pyd", ".dylib")


def is_library(name: str) -> bool:
    """Return whether a file is a library, by its name."""
    file = name.rpartition("/")[2]
    return file.endswith(SUFFIXES) or ".so." in file


def machine_of(header: bytes) -> str | None:
    """Return the processor of a file, as ELF names it; None if the file is not ELF."""
    if not elf.is_elf(header) or len(header) < HEADER_BYTES:
        return None
    return elf.machine_name(int.from_bytes(header[18:20], "little"))


def examine_machines(headers: Iterable[tuple[str, bytes]], machine: str, where: str, remedy: str) -> Iterator[Finding]:
    """Yield a finding for each wrong processor of libraries, which are given by their names and first bytes."""
    others: dict[str, list[str]] = {}
    for name, header in headers:
        found = machine_of(header)
        if found != machine:
            others.setdefault(found or "not an ELF file", []).append(name)
    for found, names in others.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield error("wheel_platform", where, f"{names[0]}{more}: {found}", machine, remedy)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (1, 31, 1) for `1.31.1.dev2`."""
    leading = re.match(r"(\d+(\.\d+)*)?", text)
    return tuple(map(int, leading[0].split("."))) if leading and leading[0] else ()
