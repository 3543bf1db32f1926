"""The zip: always the same bytes for the same files; and the size of each distribution in it."""

import csv
import stat
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can name."""

FILE_MODE = stat.S_IFREG | 0o644
"""Readable by everyone, as Lambda runs functions as a user of its own. A library needs no execute bit."""

UNIX = 3
"""The system of an entry, which defines the meaning of its mode."""

LEVEL = 9
"""The level of deflate, the only method that Lambda unpacks."""

ENTRY_BYTES = 30 + 46
"""The size of the two headers of each entry, without the name, which is in both."""
END_BYTES = 22
"""The size of the zip's last record."""

OURS = "onnxlet"


@dataclass(frozen=True)
class Part:
    """The space that a distribution takes in a package."""

    name: str
    size_bytes: int
    """The size after unpacking."""
    zipped_bytes: int


def write_archive(tree: Path, path: Path) -> None:
    """Zip all files of a tree in the order of their names, all with the same time and mode."""
    files = {file.relative_to(tree).as_posix(): file for file in tree.rglob("*") if file.is_file()}
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = FILE_MODE << 16
            archive.writestr(entry, files[name].read_bytes(), zipfile.ZIP_DEFLATED, LEVEL)


def read_owners(tree: Path) -> dict[str, str]:
    """Return the distribution that installed each file or folder at the root of a tree, by the name of that file."""
    owners: dict[str, str] = {}
    for record in tree.glob("*.dist-info/RECORD"):
        name = record.parent.name.partition("-")[0]
        with record.open(newline="") as file:
            owners |= {row[0].partition("/")[0]: name for row in csv.reader(file) if not row[0].startswith("..")}
    return owners


def parts(path: Path, owners: Mapping[str, str]) -> list[Part]:
    """Return the space of each distribution in a zip, largest first; together they are the zip without `END_BYTES`.

    Files without an owner, of those that `read_owners` returns, are ours.
    """
    sizes: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = owners.get(entry.filename.partition("/")[0], OURS)
            sizes[name] += entry.file_size
            zipped[name] += entry.compress_size + ENTRY_BYTES + 2 * len(entry.filename.encode())
    return [Part(name, sizes[name], size) for name, size in zipped.most_common()]
