import os
import stat
import zipfile
from pathlib import Path

import pytest

from onnxlet_cli.package import archive

FILES = {"b/data.so": b"x" * 5000, "a.py": b"pass\n", "b/a.py": b"1\n", "b-1.0.dist-info/METADATA": b"Name: b\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", list(FILES))


def write_tree(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
    return folder


def test_the_same_files_give_the_same_bytes_whatever_their_times_modes_and_order(tree: Path, tmp_path: Path) -> None:
    other = write_tree(tmp_path / "elsewhere" / "deeper", list(reversed(FILES)))
    (other / "a.py").chmod(0o700)
    os.utime(other / "b/a.py", (1, 1))
    (other / "empty").mkdir()
    archive.write_archive(tree, tmp_path / "one.zip")
    archive.write_archive(other, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_entries_are_sorted_readable_by_everyone_and_say_nothing_of_this_machine(tree: Path, tmp_path: Path) -> None:
    archive.write_archive(tree, tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as content:
        entries = content.infolist()
        assert {entry.filename: content.read(entry) for entry in entries} == FILES
    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {stat.filemode(entry.external_attr >> 16) for entry in entries} == {"-rw-r--r--"}
    assert {(entry.date_time, entry.extra, entry.comment) for entry in entries} == {((1980, 1, 1, 0, 0, 0), b"", b"")}


def test_the_parts_are_all_of_the_zip_each_under_its_distribution(tree: Path, tmp_path: Path) -> None:
    (tree / "b-1.0.dist-info/RECORD").write_text("b/data.so,,\nb/a.py,,\n../../bin/b,,\nb-1.0.dist-info/METADATA,,\n")
    owners = archive.read_owners(tree)
    (tree / "b-1.0.dist-info/RECORD").unlink()
    archive.write_archive(tree, tmp_path / "x.zip")
    parts = archive.parts(tmp_path / "x.zip", owners)
    sizes = {part.name: part.size_bytes for part in parts}
    assert sizes == {"b": 5000 + 2 + 8, "onnxlet": 5}
    assert sum(part.zipped_bytes for part in parts) + archive.END_BYTES == (tmp_path / "x.zip").stat().st_size
