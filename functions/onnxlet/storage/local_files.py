"""Files of this machine as a store, which survive a power cut once they are written."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from onnxlet.errors import ConflictError, ObjectNotFoundError
from onnxlet.storage.store import Revision, Store


class LocalFiles(Store):
    """Files under one folder, written by us and read by obstore.

    A file appears whole, and a write returns only when a power cut cannot undo it: the file's content is on the disk
    before its name is, and the names of its folders are, too. The compare-and-swap is made of a lock: no file system
    has one.
    """

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        """As `Store.replace`, among all processes that use this class."""
        import fcntl

        with self._translated(".lock"), open(f"{self.backend.prefix}/.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                found = self.read(key).revision
            except ObjectNotFoundError:
                found = None
            if found != revision:
                raise ConflictError(f"{self.url}/{key}: somebody else wrote it since it was read")
            self._put(key, data, "overwrite")

    def _send(self, key: str, data: bytes, mode: Any) -> None:
        root = Path(self.backend.prefix)
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.parent / f"#{int.from_bytes(os.urandom(8), 'big')}"  # obstore lists no file of such a name
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode == "create":
                _link(draft, path)
            else:
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
            sync_folders(path.parent, root)


def sync_folders(folder: Path, root: Path) -> None:
    """Wait until the names in a folder are on the disk, and so on in each folder above it up to `root`.

    Another process may have made one of them and not waited, so all are asked.
    """
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that keeps no folders of its own
                raise
        finally:
            os.close(descriptor)
        if folder in {root, folder.parent}:
            return
        folder = folder.parent


def make_folder(path: str) -> None:
    """Make a folder, and wait until it is on the disk."""
    folder = Path(path)
    if folder.is_dir():
        return
    first = next(parent for parent in folder.parents if parent.is_dir())
    folder.mkdir(parents=True, exist_ok=True)
    sync_folders(folder, first)


def _link(draft: Path, path: Path) -> None:
    """Give a written file its name, unless that is taken.

    Raises:
        ConflictError: the name is taken; by a file that a power cut cannot undo either.
    """
    try:
        os.link(draft, path)
    except FileExistsError as error:
        with suppress(OSError), path.open("rb") as file:  # who may read it may take it for written
            os.fsync(file.fileno())
        raise ConflictError(f"{path.as_uri()}: somebody else wrote it first") from error
