"""Local files: a folder of this machine as a store, whose completed writes survive a power cut."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import ConflictError, ObjectNotFoundError
from onnxlet.storage.reader import Revision
from onnxlet.storage.store import Store

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import LocalStore


class LocalFiles(Store):
    """Files under one folder, which this class writes and obstore reads.

    A file appears whole. A write returns only when a power cut cannot undo it: the content is on the disk before the
    name, and so are the names of the folders. A lock makes the compare-and-swap, because no file system has one.
    """

    def __init__(self, url: str, backend: LocalStore) -> None:
        super().__init__(url, backend)
        self._folder = Path(str(backend.prefix))

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        """Replace a file as `Store.replace` does, with a lock that all processes with this class respect."""
        import fcntl

        with self._translated(".lock"), (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                current = self.read(key).revision
            except ObjectNotFoundError:
                current = None
            if current != revision:
                raise ConflictError(f"{self.url}/{key}: another writer has changed it since it was read")
            self._put(key, data, "overwrite")

    def _send(self, key: str, data: bytes, mode: PutMode) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.parent / f"#{int.from_bytes(os.urandom(8), 'big')}"  # obstore lists no file with such a name
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
            sync_folders(path.parent, self._folder)


def sync_folders(folder: Path, root: Path) -> None:
    """Wait until the names in a folder, and in each folder above it up to `root`, are on the disk.

    Another process may have made one of the folders without waiting, so each is synced.
    """
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # this file system cannot sync folders
                raise
        finally:
            os.close(descriptor)
        if folder in {root, folder.parent}:
            return
        folder = folder.parent


def make_folder(path: str) -> None:
    """Make a folder and its parents, and wait until they are on the disk."""
    folder = Path(path)
    if folder.is_dir():
        return
    existing = next(parent for parent in folder.parents if parent.is_dir())
    folder.mkdir(parents=True, exist_ok=True)
    sync_folders(folder, existing)


def _link(draft: Path, path: Path) -> None:
    """Give a written file its name, unless another file has it.

    Raises:
        ConflictError: another file has the name, and a power cut cannot undo it.
    """
    try:
        os.link(draft, path)
    except FileExistsError as error:
        with suppress(OSError), path.open("rb") as file:  # the caller may read it, and must be able to rely on it
            os.fsync(file.fileno())
        raise ConflictError(f"{path.as_uri()}: another writer was first") from error
