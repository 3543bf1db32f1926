"""Disk cache: verified artifacts in a private folder, so that a model unloaded from memory loads again quickly."""

import hashlib
import mmap
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from onnxlet import notices
from onnxlet.contract import layout
from onnxlet.errors import SettingsError

PRIVATE = 0o700


class DiskCache:
    """A folder of files named by their SHA-256. Several processes may share it: each file appears whole."""

    def __init__(self, folder: str | os.PathLike[str], limit_bytes: int) -> None:
        """Open the folder, and make it if it does not exist.

        Raises:
            SettingsError: the folder cannot be made, or other users may read or write it.
        """
        folder = self._folder = Path(folder)
        self._limit_bytes = limit_bytes
        try:
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            raise SettingsError(f"ONNXLET_CACHE: {folder}: {error.strerror}") from error
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if not is_private:
            raise SettingsError(f"ONNXLET_CACHE: {folder}: expected a folder that this user owns, with mode 700")

    def read(self, sha256: str) -> memoryview | None:
        """Return the verified bytes with this SHA-256, mapped into memory; None if they are missing or damaged.

        The bytes stay valid after the file is removed.
        """
        path = self._path(sha256)
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # missing or empty
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            notices.warning("%s: damaged; it will be fetched again", path)
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)  # the least recently used file is removed first
        return data

    def add(self, sha256: str, data: bytes | memoryview) -> None:
        """Write bytes to the cache; if the disk is full, log a warning and go without."""
        size_bytes = len(data)
        if size_bytes > self._limit_bytes:
            return
        try:
            self._free(size_bytes)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as copy:
                try:
                    copy.write(data)
                    copy.flush()
                    Path(copy.name).replace(self._path(sha256))
                except BaseException:
                    Path(copy.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            notices.warning("%s: not cached: %s", self._path(sha256), error)

    def _path(self, sha256: str) -> Path:
        assert layout.is_sha256(sha256), sha256
        return self._folder / sha256

    def _free(self, size_bytes: int) -> None:
        """Remove the least recently used files until `size_bytes` fit; open mappings of them stay valid."""
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process removed it
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        free_bytes = self._limit_bytes - size_bytes - sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if free_bytes >= 0:
                return
            path.unlink(missing_ok=True)
            free_bytes += size
