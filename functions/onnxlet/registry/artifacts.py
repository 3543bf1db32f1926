"""The artifacts: a version's bytes, fetched in parts at once and verified, in memory of their own."""

from __future__ import annotations

import hashlib
import mmap
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet import deadline
from onnxlet.contract import layout
from onnxlet.contract.blob import Blob
from onnxlet.errors import ArtifactError, DeadlineError, ObjectNotFoundError
from onnxlet.storage import Store

if TYPE_CHECKING:
    from onnxlet.contract.artifact import Artifact, Part
    from onnxlet.storage.disk_cache import DiskCache

HUGE_PAGE_BYTES = 2 * 1024 * 1024


class Artifacts:
    """The artifacts of one registry. Safe for threads."""

    def __init__(self, store: Store, cache: DiskCache | None = None) -> None:
        """Take the store whose root is the registry's, and perhaps a cache on a disk."""
        self._store = store
        self._cache = cache
        self._begun: dict[str, Fetch] = {}

    def reopen(self, store: Store) -> None:
        """Go on with another connection to the same store."""
        self._store = store

    def begin(self, blob: Blob) -> None:
        """Begin to fetch what will soon be read; how that goes is told then."""
        if blob.sha256 not in self._begun and self._cache is None:
            self._begun[blob.sha256] = Fetch(self._store, blob)

    def forget(self, blobs: Iterable[Blob]) -> None:
        """Give up those of these blobs that were begun and not read."""
        for blob in blobs:
            fetch = self._begun.pop(blob.sha256, None)
            if fetch is not None:
                fetch.stop()

    def read(self, artifact: Artifact) -> memoryview:
        """The verified bytes of an artifact.

        Raises:
            ArtifactError: the bytes are not the published ones, or not there.
            StoreError: the store does not answer.
            DeadlineError: not before the time is over.
        """
        cached = self._cache.read(artifact.sha256) if self._cache else None
        if cached is not None:
            return cached
        data = self._fetch(artifact)
        if self._cache:
            self._cache.add(artifact.sha256, data)
        return data

    def _fetch(self, artifact: Artifact) -> memoryview:
        begun = self._begun.pop(artifact.sha256, None)
        if begun is None or begun.blob != artifact.blob:  # the latter where an expectation had a wrong size
            begun = Fetch(self._store, artifact.blob)
        try:
            return begun.result(artifact)
        except ObjectNotFoundError as error:
            raise ArtifactError(f"{artifact.role} artifact: {error}") from error


class Fetch:
    """A blob on its way from the store: a thread for each of its ranges, which hashes what it brings."""

    def __init__(self, store: Store, blob: Blob) -> None:
        """Begin."""
        self.blob = blob
        self._store = store
        self._data = _memory(blob.size_bytes)
        self._digests: dict[int, str] = {}
        """The SHA-256 of what came, by where it begins; nothing of a range that is longer or shorter than it should."""
        self._failures: dict[int, Exception] = {}
        self._is_wanted = True
        bounds = blob.ranges()
        self._threads = [
            threading.Thread(target=self._run, args=(*each, len(bounds) > 1), name=f"fetch-{each[0]}", daemon=True)
            for each in bounds
        ]
        for thread in self._threads:
            thread.start()

    def result(self, artifact: Artifact) -> memoryview:
        """The bytes, when all are there and are the artifact's.

        Raises:
            ArtifactError: they are others.
            ObjectNotFoundError, StoreError: they could not be had.
            DeadlineError: they are still on their way.
        """
        try:
            for thread in self._threads:
                deadline.join(thread)
        except DeadlineError:
            self.stop()
            raise
        if self._failures:
            raise self._failures[min(self._failures)]
        for part in artifact.parts():
            digest = self._digest(part)
            if digest != part.sha256:
                raise ArtifactError(
                    f"{artifact.role} artifact: expected bytes {part.start} to {part.stop} of {artifact.size_bytes} "
                    f"with SHA-256 {part.sha256}, got {digest or 'more or fewer'}"
                )
        return self._data

    def stop(self) -> None:
        """Let what is still on its way go."""
        self._is_wanted = False

    def _digest(self, part: Part) -> str | None:
        """The SHA-256 of what came for a part; None where that has another length."""
        if part.stop - part.start == len(self._data) and len(self._threads) > 1:  # published whole, fetched in ranges
            is_whole = len(self._digests) == len(self._threads)
            return hashlib.sha256(self._data).hexdigest() if is_whole else None
        return self._digests.get(part.start)

    def _run(self, start: int, stop: int, is_range: bool) -> None:
        try:
            self._receive(start, stop, (start, stop) if is_range else None)
        except Exception as error:  # told by `result`, whatever it is: this thread has nobody to tell
            self._failures[start] = error

    def _receive(self, start: int, stop: int, within: tuple[int, int] | None) -> None:
        digest, position = hashlib.sha256(), start
        for chunk in self._store.chunks(layout.blob_key(self.blob.sha256), within):
            position += len(chunk)
            if position > stop or not self._is_wanted:
                return
            digest.update(chunk)
            self._data[position - len(chunk) : position] = chunk
        if position == stop:
            self._digests[start] = digest.hexdigest()


def _memory(size_bytes: int) -> memoryview:
    """Memory of its own, which goes back to the system as a whole; in huge pages, where there are any.

    To take 100 MB in pages of 4 KiB costs 17 ms, in huge ones 6.
    """
    memory = mmap.mmap(-1, size_bytes)
    if size_bytes >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
