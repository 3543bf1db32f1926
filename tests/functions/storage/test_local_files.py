"""A `file://` store: what a power cut, a full disk and a folder that cannot be written leave of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlet.errors import BucketNotFoundError, ConflictError, StoreError
from onnxlet.storage import Revision, open_store

PROGRAM = """
import sys
from onnxlet.storage import open_store
store = open_store(sys.argv[1], create=True)
store.put_if_absent("models/m/versions/1.json", b"first")
store.replace("models/m/versions/1.json", b"second", store.read("models/m/versions/1.json").revision)
try: store.put_if_absent("models/m/versions/1.json", b"third")
except Exception: pass
"""

CALL = re.compile(r"(fsync|fdatasync|linkat|link|rename|renameat|renameat2|mkdir|mkdirat)\((.*)\) += 0$", re.MULTILINE)


def traced(root: Path, log: Path) -> list[tuple[str, list[str]]]:
    """The calls that name files below a folder, or ask the disk to keep them; each with the paths that it names."""
    calls = "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat"
    command = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", calls, "-o", str(log), sys.executable, "-c", PROGRAM]
    subprocess.run([*command, root.as_uri()], check=True)
    found = []
    for name, arguments in CALL.findall(log.read_text()):
        paths = [a or b for a, b in re.findall(r'"([^"]+)"|\d+<([^>]+)>', arguments)]
        if any(str(root.parent) in path for path in paths):
            found.append((name, [path.replace(str(root.parent), "") for path in paths]))
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_write_returns_when_a_power_cut_cannot_undo_it(tmp_path: Path) -> None:
    """The content is kept before the name is given, then all folders that lead to the name."""
    calls = traced(tmp_path / "store", tmp_path / "log")
    names = [name for name, _ in calls]
    folders = ["/store/models/m/versions", "/store/models/m", "/store/models", "/store"]
    for naming in (
        "linkat" if "linkat" in names else "link",
        next(name for name in names if name.startswith("rename")),
    ):
        at = names.index(naming)
        draft, path = (text for text in calls[at][1] if text.startswith("/store/models"))
        assert path == "/store/models/m/versions/1.json"
        assert ("fsync", [draft]) in calls[:at]
        following = [paths[0] for name, paths in calls[at:] if name == "fsync"]
        assert following[:4] == folders
    made = names.index("mkdir")
    assert ("fsync", [""]) in calls[made:], "the folder that the store's own lies in"
    last = [paths[0] for name, paths in calls if name == "fsync"]
    assert "/store/models/m/versions/1.json" in last, "whoever finds a file in its place takes it for kept"


def test_a_file_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from onnxlet.storage import open_store; from onnxlet.errors import StoreError\n"
        "store = open_store(sys.argv[1], create=True); store.put_if_absent('a', b'old')\n"
        "revision = store.read('a').revision\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "writes = (lambda: store.put_if_absent('b', bytes(2000)), lambda: store.replace('a', bytes(2000), revision))\n"
        "for write in writes:\n"
        "    try: write()\n"
        "    except StoreError as error: print(error.status, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path.as_uri()], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("503 ") == done.stdout.count("File too large") == 2, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_a_store_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file/folder: the folder cannot be used") as caught:
        open_store((tmp_path / "file/folder").as_uri(), create=True)
    assert caught.value.status == 503
    with pytest.raises(BucketNotFoundError, match="no such folder"):
        open_store((tmp_path / "file").as_uri())


def test_a_draft_is_not_listed(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put_if_absent("a/b", b"1")
    (tmp_path / "a" / "#4711").write_bytes(b"half of")  # of a writer that died
    assert list(store.keys("")) == ["a/b"]
    assert store.children("a") == ["b"]


def test_a_file_has_the_rights_that_any_program_gives_it(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put_if_absent("a", b"1")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_in_the_place_of_a_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    (tmp_path / "a").mkdir()
    for revision in (None, Revision("x", None)):
        with pytest.raises((ConflictError, StoreError)) as caught:
            store.replace("a", b"", revision)
        assert "\n" not in str(caught.value)
