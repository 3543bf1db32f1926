"""The artifacts: a version's bytes, fetched in parts at once, verified, and kept in memory that has no name."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.contract.artifact import Artifact, Part
from onnxlet.errors import ArtifactError, ObjectNotFoundError
from onnxlet.store import Store

if TYPE_CHECKING:
    from onnxlet.disk_cache import DiskCache


class Artifacts:
    """The artifacts of one registry. Safe for threads."""

    def __init__(self, store: Store, cache: "DiskCache | None" = None) -> None:
        """Take the store whose root is the registry's, and perhaps a cache on a disk."""
        self._store = store
        self._cache = cache
        self._begun: dict[str, Fetch] = {}

    def begin(self, artifact: Artifact) -> None:
        """Begin to fetch an artifact that will soon be opened; how that goes is told then."""
        if artifact.sha256 not in self._begun and self._cache is None:
            self._begun[artifact.sha256] = Fetch(self._store, artifact)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[str]:
        """Fetch and verify an artifact, and give a path by which ONNX Runtime can open it while the context lasts.

        On Linux the bytes lie in anonymous memory and not on a disk; ONNX Runtime loads a path faster than bytes, and
        what it maps stays when the file is closed.

        Raises:
            ArtifactError: the bytes are not the published ones, or not there.
            StoreError: the store does not answer.
        """
        with self._open(artifact) as file:
            yield _path_of(file)

    def read(self, artifact: Artifact) -> bytes:
        """The verified bytes of a small artifact; raises as `open` does."""
        with self._open(artifact) as file:
            return os.pread(file.fileno(), artifact.size_bytes, 0)

    def _open(self, artifact: Artifact) -> IO[bytes]:
        cached = self._cache.open(artifact.sha256) if self._cache else None
        if cached is not None:
            return cached
        file = (self._begun.pop(artifact.sha256, None) or Fetch(self._store, artifact)).result()
        if self._cache:
            self._cache.add(artifact.sha256, file)
        return file


class Fetch:
    """One artifact on its way from the store: a thread for each of its parts."""

    def __init__(self, store: Store, artifact: Artifact) -> None:
        """Begin."""
        self._store = store
        self._artifact = artifact
        self._file = _scratch_file()
        self._failures: dict[Part, Exception] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(part,), name=f"fetch-{part.start}", daemon=True)
            for part in artifact.parts()
        ]
        for thread in self._threads:
            thread.start()

    def result(self) -> IO[bytes]:
        """The file, when all parts are in it.

        Raises:
            ArtifactError, StoreError: as `Artifacts.open`.
        """
        for thread in self._threads:
            thread.join()
        if self._failures:
            self._file.close()
            raise min(self._failures.items(), key=lambda failure: failure[0].start)[1]
        return self._file

    def _run(self, part: Part) -> None:
        try:
            self._fetch(part)
        except Exception as error:  # told by `result`, whatever it is: this thread has nobody to tell
            self._failures[part] = error

    def _fetch(self, part: Part) -> None:
        artifact, digest, position = self._artifact, hashlib.sha256(), part.start
        within = (part.start, part.stop) if artifact.part_digests else None
        try:
            for chunk in self._store.chunks(layout.blob_key(artifact.sha256), within):
                digest.update(chunk)
                position += os.pwrite(self._file.fileno(), chunk, position)
        except ObjectNotFoundError as error:
            raise ArtifactError(f"{artifact.role} artifact: {error}") from error
        if (digest.hexdigest(), position) != (part.sha256, part.stop):
            raise ArtifactError(
                f"{artifact.role} artifact: expected bytes {part.start} to {part.stop} of {artifact.size_bytes} with "
                f"SHA-256 {part.sha256}, got them to {position} with {digest.hexdigest()}"
            )


def _scratch_file() -> IO[bytes]:
    """A private file that vanishes when it is closed."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("onnxlet"), "w+b", buffering=0)
    import tempfile  # of systems other than Linux

    return tempfile.NamedTemporaryFile(suffix=".onnx", buffering=0)


def _path_of(file: IO[bytes]) -> str:
    """A path that leads to an open file, even to one that has no name any more where the system has such paths."""
    return f"/proc/self/fd/{file.fileno()}" if hasattr(os, "memfd_create") else file.name
