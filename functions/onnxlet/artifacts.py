"""The artifacts: a version's bytes, fetched in parts at once and verified, in memory of their own."""

import hashlib
import mmap
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.contract.artifact import Artifact, Part
from onnxlet.errors import ArtifactError, ObjectNotFoundError
from onnxlet.store import Store

if TYPE_CHECKING:
    from onnxlet.disk_cache import DiskCache

HUGE_PAGE_BYTES = 2 * 1024 * 1024


class Artifacts:
    """The artifacts of one registry. Safe for threads."""

    def __init__(self, store: Store, cache: "DiskCache | None" = None) -> None:
        """Take the store whose root is the registry's, and perhaps a cache on a disk."""
        self._store = store
        self._cache = cache
        self._begun: dict[str, Fetch] = {}

    def reopen(self, store: Store) -> None:
        """Go on with another connection to the same store."""
        self._store = store

    def begin(self, artifact: Artifact) -> None:
        """Begin to fetch an artifact that will soon be read; how that goes is told then."""
        if artifact.sha256 not in self._begun and self._cache is None:
            self._begun[artifact.sha256] = Fetch(self._store, artifact)

    def read(self, artifact: Artifact) -> memoryview:
        """The verified bytes of an artifact.

        Raises:
            ArtifactError: the bytes are not the published ones, or not there.
            StoreError: the store does not answer.
        """
        cached = self._cache.read(artifact.sha256) if self._cache else None
        if cached is not None:
            return cached
        data = (self._begun.pop(artifact.sha256, None) or Fetch(self._store, artifact)).result()
        if self._cache:
            self._cache.add(artifact.sha256, data)
        return data


class Fetch:
    """One artifact on its way from the store: a thread for each of its parts."""

    def __init__(self, store: Store, artifact: Artifact) -> None:
        """Begin."""
        self._store = store
        self._artifact = artifact
        self._data = _memory(artifact.size_bytes)
        self._failures: dict[Part, Exception] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(part,), name=f"fetch-{part.start}", daemon=True)
            for part in artifact.parts()
        ]
        for thread in self._threads:
            thread.start()

    def result(self) -> memoryview:
        """The bytes, when all parts are there.

        Raises:
            ArtifactError, StoreError: as `Artifacts.read`.
        """
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise min(self._failures.items(), key=lambda failure: failure[0].start)[1]
        return self._data

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
                position += len(chunk)
                if position > part.stop:
                    break
                digest.update(chunk)
                self._data[position - len(chunk) : position] = chunk
        except ObjectNotFoundError as error:
            raise ArtifactError(f"{artifact.role} artifact: {error}") from error
        if (digest.hexdigest(), position) != (part.sha256, part.stop):
            raise ArtifactError(
                f"{artifact.role} artifact: expected bytes {part.start} to {part.stop} of {artifact.size_bytes} with "
                f"SHA-256 {part.sha256}, got them to {position} with {digest.hexdigest()}"
            )


def _memory(size_bytes: int) -> memoryview:
    """Memory of its own, which goes back to the system as a whole; in huge pages, where there are any.

    To take 100 MB in pages of 4 KiB costs 17 ms, in huge ones 6.
    """
    memory = mmap.mmap(-1, size_bytes)
    if size_bytes >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
