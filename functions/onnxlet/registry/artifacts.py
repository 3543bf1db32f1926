"""Artifacts: a version's bytes, fetched in parallel ranges and verified, in memory of their own."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet.contract import hashing, layout
from onnxlet.contract.blob import Blob
from onnxlet.errors import ArtifactError, DeadlineError, ObjectNotFoundError
from onnxlet.limits import deadline
from onnxlet.storage import Store

if TYPE_CHECKING:
    from onnxlet.contract.artifact import Artifact, Part
    from onnxlet.storage.disk_cache import DiskCache

HUGE_PAGE_BYTES = 2 * 1024 * 1024
"""Size of a huge page of memory."""


class Artifacts:
    """The artifacts of one registry. Threads may share it."""

    def __init__(self, store: Store, cache: DiskCache | None = None) -> None:
        self._store = store
        self._cache = cache
        self._fetches: dict[str, Fetch] = {}
        """Fetches that were started before anything reads their blobs, by SHA-256."""

    def reopen(self, store: Store) -> None:
        """Continue with another connection to the same store."""
        self._store = store

    def begin(self, blob: Blob) -> None:
        """Start to fetch a blob that will be read soon; `read` reports its errors."""
        if blob.sha256 not in self._fetches and self._cache is None:
            self._fetches[blob.sha256] = Fetch(self._store, blob)

    def forget(self, blobs: Iterable[Blob]) -> None:
        """Stop the fetches of these blobs that were started and not read."""
        for blob in blobs:
            fetch = self._fetches.pop(blob.sha256, None)
            if fetch is not None:
                fetch.stop()

    def read(self, artifact: Artifact) -> memoryview:
        """Return the verified bytes of an artifact.

        Raises:
            ArtifactError: the bytes are not the published ones, or do not exist.
            StoreError: the store does not answer.
            DeadlineError: the request's time ended before the bytes were there.
        """
        cached = self._cache.read(artifact.sha256) if self._cache else None
        if cached is not None:
            return cached
        data = self._fetch(artifact)
        if self._cache:
            self._cache.add(artifact.sha256, data)
        return data

    def _fetch(self, artifact: Artifact) -> memoryview:
        fetch = self._fetches.pop(artifact.sha256, None)
        if fetch is None or fetch.blob != artifact.blob:  # a different blob comes from an expectation with a wrong size
            fetch = Fetch(self._store, artifact.blob)
        try:
            return fetch.result(artifact)
        except ObjectNotFoundError as error:
            raise ArtifactError(f"{artifact.role} artifact: {error}") from error


class Fetch:
    """The fetch of one blob: a thread for each range reads its bytes and hashes them."""

    def __init__(self, store: Store, blob: Blob) -> None:
        self.blob = blob
        self._store = store
        self._data = _memory(blob.size_bytes)
        self._digests: dict[int, str] = {}
        """The SHA-256 of each range that arrived with the right length, by its start."""
        self._failures: dict[int, Exception] = {}
        self._is_wanted = True
        bounds = blob.ranges()
        self._threads = [
            threading.Thread(target=self._run, args=(start, stop, len(bounds) > 1), name=f"fetch-{start}", daemon=True)
            for start, stop in bounds
        ]
        for thread in self._threads:
            thread.start()

    def result(self, artifact: Artifact) -> memoryview:
        """Wait for all bytes; return them if they are the artifact's.

        Raises:
            ArtifactError: they have another SHA-256 or length.
            ObjectNotFoundError, StoreError: they could not be read.
            DeadlineError: the request's time ended before they arrived.
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
        """Ignore the bytes that have not arrived yet."""
        self._is_wanted = False

    def _digest(self, part: Part) -> str | None:
        """Return the SHA-256 of the bytes of a part, which may have several ranges; None if the length differs."""
        if part.stop - part.start == len(self._data) and len(self._threads) > 1:
            is_whole = len(self._digests) == len(self._threads)
            return hashing.sha256(self._data).hexdigest() if is_whole else None
        return self._digests.get(part.start)

    def _run(self, start: int, stop: int, is_range: bool) -> None:
        try:
            self._receive(start, stop, (start, stop) if is_range else None)
        except Exception as error:  # `result` raises it in the thread of the request
            self._failures[start] = error

    def _receive(self, start: int, stop: int, within: tuple[int, int] | None) -> None:
        chunks = self._store.chunks(layout.blob_key(self.blob.sha256), within)  # before `hashlib` is imported
        digest, position = hashing.sha256(), start
        for chunk in chunks:
            position += len(chunk)
            if position > stop or not self._is_wanted:
                return
            digest.update(chunk)
            self._data[position - len(chunk) : position] = chunk
        if position == stop:
            self._digests[start] = digest.hexdigest()


def _memory(size_bytes: int) -> memoryview:
    """Return memory that goes back to the operating system as a whole, in huge pages if the kernel has them.

    Allocating 100 MB in pages of 4 KiB takes 17 ms, in huge pages 6 ms.
    """
    memory = mmap.mmap(-1, size_bytes)
    if size_bytes >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
