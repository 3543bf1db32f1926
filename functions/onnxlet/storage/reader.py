"""Reader: objects and their names under one root URL, read through obstore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import obstore
import obstore.exceptions
from obstore.store import GCSStore, S3Store

from onnxlet.errors import InvalidNameError, OnnxletError, StoreError, TooLargeError
from onnxlet.limits import deadline
from onnxlet.record import Record

if TYPE_CHECKING:
    from datetime import timedelta

    from obstore import GetOptions, GetResult
    from obstore.store import ObjectStore

CHUNK_BYTES = 1024 * 1024
"""Size of the chunks in which a large object, or each range of it, is read."""

MAX_KEY_BYTES = 1024
"""Length of a key that both clouds allow."""


class Revision(Record):
    """The state of an object, which a compare-and-swap compares."""

    etag: str | None
    version: str | None


class Stored(Record):
    """An object's bytes with their revision."""

    data: bytes
    revision: Revision
    media_type: str = ""
    """The stored `Content-Type`; empty if the store keeps none."""
    coding: str = ""
    """The stored `Content-Encoding`: how the uploader compressed the object."""


ReadExactly = Callable[[str, str | None, int | None], Stored]
"""Reads a key that obstore would change or refuse, with the arguments key, version and at_most of `Reader.read`."""


class Reader:
    """A root URL in object storage whose objects can be read; keys are relative to it."""

    def __init__(self, url: str, backend: ObjectStore, read_exactly: ReadExactly | None = None) -> None:
        self.url = url
        self.backend = backend
        self._read_exactly = read_exactly

    @deadline.bounded
    def read(
        self,
        key: str,
        version: str | None = None,
        at_most: int | None = None,
        admit: Callable[[int], object] | None = None,
    ) -> Stored:
        """Read a whole object.

        Args:
            key: The object's key.
            version: The version or generation to read; None for the newest.
            at_most: The largest size in bytes that is read.
            admit: Gets the size in bytes before the bytes are read, and may raise an error to refuse them.

        Raises:
            ObjectNotFoundError, BucketNotFoundError, StoreError
            TooLargeError: the object has more than `at_most` bytes; none of them was read.
            InvalidNameError: no store has such a key, or this store's library cannot send it unchanged.
        """
        if self._read_exactly is not None and not is_sent_unchanged(key):
            self._require_key_size(key)
            stored = self._read_exactly(key, version, at_most)
            if admit is not None:
                admit(len(stored.data))
            return stored
        with self._translated(key):
            result, revision = self._get(key, {"version": version} if version else {})
            size_bytes = result.meta["size"]
            if at_most is not None and size_bytes > at_most:
                raise TooLargeError(f"{self.url}/{key}: expected at most {at_most} bytes, got {size_bytes}")
            if admit is not None:
                try:
                    admit(size_bytes)
                except OnnxletError:
                    del result  # otherwise its connection stays open as long as the error's traceback lives
                    raise
            return _stored(result, revision)

    @deadline.bounded
    def read_if_changed(self, key: str, revision: Revision) -> Stored | None:
        """Read a whole object unless it is still at `revision`; raises the errors of `read`."""
        with self._translated(key):
            try:
                result, current = self._get(key, {"if_none_match": revision.etag})
            except obstore.exceptions.NotModifiedError:
                return None
            return _stored(result, current)

    def chunks(self, key: str, within: tuple[int, int] | None = None) -> Iterator[memoryview]:
        """Request an object, or its bytes from `within[0]` to before `within[1]`, and return its chunks.

        Raises:
            ObjectNotFoundError, BucketNotFoundError, StoreError
        """
        stream = self._stream(key, {"range": within} if within else {})
        return map(memoryview, iter(lambda: self._next(stream, key), None))

    @deadline.bounded
    def children(self, prefix: str) -> list[str]:
        """Return the sorted names of the objects and prefixes directly under `prefix`.

        Raises:
            BucketNotFoundError, StoreError
        """
        with self._translated(prefix):
            listing = obstore.list_with_delimiter(self.backend, prefix)
        paths = [*listing["common_prefixes"], *(item["path"] for item in listing["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of all objects under `prefix`, in no particular order.

        Raises:
            BucketNotFoundError, StoreError
        """
        with self._translated(prefix):
            pages = iter(obstore.list(self.backend, prefix))
        while (page := self._next(pages, prefix)) is not None:
            yield from (item["path"] for item in page)

    @deadline.bounded
    def sign(self, key: str, lifetime: timedelta) -> str | None:
        """Return a URL with which anybody may read an object for `lifetime`; None if the store has no such URLs.

        Raises:
            StoreError: the store's credentials cannot sign.
        """
        if not isinstance(self.backend, S3Store | GCSStore):
            return None
        with self._translated(key):
            return obstore.sign(self.backend, "GET", key, lifetime)

    @deadline.bounded
    def _stream(self, key: str, options: GetOptions) -> Iterator[Any]:
        """Start to read an object; return the iterator over its chunks."""
        with self._translated(key):
            result, _ = self._get(key, options)
            return iter(result.stream(min_chunk_size=CHUNK_BYTES))

    @deadline.bounded
    def _next(self, pieces: Iterator[Any], key: str) -> Any | None:
        """Wait for the next chunk of an object or page of a listing; return None at the end."""
        with self._translated(key):
            return next(pieces, None)

    def _get(self, key: str, options: GetOptions) -> tuple[GetResult, Revision]:
        """Start to read an object; return obstore's result, which reads the body, and the object's revision.

        Raises:
            InvalidNameError: obstore would change or refuse the key.
            StoreError: the response has no ETag. Every object has one; an error page with the status 200 has not.
        """
        self._require_plain_key(key)
        result = obstore.get(self.backend, key, options=options)
        meta = result.meta
        if meta["e_tag"] is None:
            raise StoreError(f"{self.url}/{key}: expected an object with its ETag, got a response without one")
        return result, Revision(meta["e_tag"], meta["version"])

    def _require_plain_key(self, key: str) -> None:
        self._require_key_size(key)
        if not is_sent_unchanged(key):
            raise InvalidNameError(
                f"{self.url}/{key}: expected a key without empty parts, '.', '..' and control characters; only s3:// "
                "and gs:// can read other keys"
            )

    def _require_key_size(self, key: str) -> None:
        try:
            size_bytes = len(key.encode())
        except UnicodeEncodeError as error:
            raise InvalidNameError(f"{self.url}/{key!r:.200}: expected a key in Unicode") from error
        if not 0 < size_bytes <= MAX_KEY_BYTES:
            raise InvalidNameError(f"{self.url}/{key:.200}: expected 1 to {MAX_KEY_BYTES} bytes, got {size_bytes}")

    @contextmanager
    def _translated(self, key: str, *, is_write: bool = False) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            from onnxlet.storage.failures import translate  # imported only for an error

            raise translate(error, f"{self.url}/{key}", is_write=is_write) from error


def is_sent_unchanged(key: str) -> bool:
    """Return whether obstore sends a key to the store as it is.

    obstore drops slashes at both ends, and refuses empty parts, `.`, `..` and control characters: it treats a key as a
    path, although a key may be any text. Source: `path/mod.rs` and `path/parts.rs` in
    https://github.com/apache/arrow-rs-object-store.
    """
    if any(character < " " or character == "\x7f" for character in key):
        return False
    return not any(part in {"", ".", ".."} for part in key.split("/"))


def _stored(result: GetResult, revision: Revision) -> Stored:
    """Read the body of an object that obstore has begun to read."""
    attributes = result.attributes
    data = result.bytes().to_bytes()
    return Stored(data, revision, attributes.get("Content-Type", ""), attributes.get("Content-Encoding", ""))
