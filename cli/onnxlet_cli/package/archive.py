"""The zip: the same bytes for the same files, whenever and wherever it is written; and what of it is whose."""

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
"""Readable by everyone: Lambda runs functions as a user of its own. To be loaded, a library need not be executable."""

UNIX = 3
"""Of the system that wrote an entry: the one whose modes are meant."""

LEVEL = 9
"""Of deflate, the one method that Lambda unpacks."""

ENTRY_BYTES = 30 + 46
"""Of the zip's own notes on each entry, beside its name, which is there twice."""
END_BYTES = 22

OURS = "onnxlet"


@dataclass(frozen=True)
class Part:
    """What one distribution takes of a package."""

    name: str
    size_bytes: int
    """Unpacked."""
    zipped_bytes: int


def write_archive(tree: Path, path: Path) -> None:
    """Zip all files of a tree: in the order of their names, all with one time and one mode."""
    files = {file.relative_to(tree).as_posix(): file for file in tree.rglob("*") if file.is_file()}
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = FILE_MODE << 16
            archive.writestr(entry, files[name].read_bytes(), zipfile.ZIP_DEFLATED, LEVEL)


def read_owners(tree: Path) -> dict[str, str]:
    """Which distribution has installed each file or folder at the root of a tree: names of distributions by theirs."""
    owners: dict[str, str] = {}
    for record in tree.glob("*.dist-info/RECORD"):
        name = record.parent.name.partition("-")[0]
        with record.open(newline="") as file:
            owners |= {row[0].partition("/")[0]: name for row in csv.reader(file) if not row[0].startswith("..")}
    return owners


def parts(path: Path, owners: Mapping[str, str]) -> list[Part]:
    """What each distribution takes of a zip, the largest first; together they are all of it but `END_BYTES`.

    Args:
        path: The zip.
        owners: As `read_owners` gives them; what nobody owns is ours.
    """
    sizes: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = owners.get(entry.filename.partition("/")[0], OURS)
            sizes[name] += entry.file_size
            zipped[name] += entry.compress_size + ENTRY_BYTES + 2 * len(entry.filename.encode())
    return [Part(name, sizes[name], size) for name, size in zipped.most_common()]
