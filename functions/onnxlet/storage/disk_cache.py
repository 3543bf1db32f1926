"""The disk cache: artifacts of earlier loads in a private folder, for models that come and go in a bounded memory."""

import hashlib
import logging
import mmap
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from onnxlet.contract import layout
from onnxlet.errors import SettingsError

logger = logging.getLogger("onnxlet")

PRIVATE = 0o700


class DiskCache:
    """Files named by their SHA-256. Several processes may share the folder: a file appears whole or not at all."""

    def __init__(self, folder: str | os.PathLike[str], limit_bytes: int) -> None:
        """Take the folder, made where it is missing, and how much may lie in it.

        Raises:
            SettingsError: it cannot be made, or others than this user may write or read there.
        """
        folder = self._folder = Path(folder)
        self._limit_bytes = limit_bytes
        try:
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            raise SettingsError(f"ONNXLET_CACHE: {folder}: {error.strerror}") from error
        is_private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
        if not is_private:
            raise SettingsError(f"ONNXLET_CACHE: {folder}: expected a folder of this user's with mode 700")

    def read(self, sha256: str) -> memoryview | None:
        """The verified bytes with this SHA-256, mapped into memory; None where they are not here, or no longer right.

        They stay when the file is removed.
        """
        path = self._path(sha256)
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # it is not there, or empty
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            logger.warning("%s: damaged, fetched again", path)
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)  # the least recently used go first
        return data

    def add(self, sha256: str, data: bytes | memoryview) -> None:
        """Keep bytes. A disk that is full costs the cache, and nothing else."""
        size_bytes = len(data)
        if size_bytes > self._limit_bytes:
            return
        try:
            self._make_room(size_bytes)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as copy:
                try:
                    copy.write(data)
                    copy.flush()
                    Path(copy.name).replace(self._path(sha256))
                except BaseException:
                    Path(copy.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            logger.warning("%s: not kept: %s", self._path(sha256), error)

    def _path(self, sha256: str) -> Path:
        assert layout.is_sha256(sha256), sha256
        return self._folder / sha256

    def _make_room(self, size_bytes: int) -> None:
        """Remove the least recently used until `size_bytes` fit; whoever has one of them open keeps it."""
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process makes room, too
                found = path.stat()
                files.append((found.st_mtime_ns, found.st_size, path))
        left = self._limit_bytes - size_bytes - sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if left >= 0:
                return
            path.unlink(missing_ok=True)
            left += size
