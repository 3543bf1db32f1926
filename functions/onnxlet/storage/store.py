"""A store's operations over obstore: read, list, create, compare-and-swap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
import obstore.exceptions
from obstore.store import GCSStore, S3Store

from onnxlet import deadline
from onnxlet.errors import (
    ConflictError,
    CredentialsError,
    InvalidNameError,
    ObjectNotFoundError,
    OnnxletError,
    StoreError,
    TooLargeError,
)
from onnxlet.record import Record
from onnxlet.storage.failures import translate

CHUNK_BYTES = 1024 * 1024
"""How much of a large object, or of each range of it, is in memory at a time while it is read."""

RETRY: Any = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""obstore's own default waits up to three minutes, longer than any caller of a function does."""

STALL_S = 5
"""How long a store may say nothing before it is asked again over another connection.

A function that is thawed finds its connections dead, and one that a firewall has dropped does not say so. A connection
that was idle for as long is not used again: those that died together cannot stall one attempt after another.
"""

CLIENT: Any = {"read_timeout": timedelta(seconds=STALL_S), "pool_idle_timeout": timedelta(seconds=STALL_S)}

LARGE_BYTES = 256 * 1024
"""What takes longer than `STALL_S` to send is sent over a connection of its own, which waits for its answer."""

SLOWEST_BYTES_PER_S = 128 * 1024
"""At which a large object is still sent: an uplink of 1 Mbit/s. obstore itself gives any request 30 seconds."""

CONFLICT_PAUSES_S = (0.05, 0.1, 0.2, 0.4)
"""Before a create is tried again that conflicted with nothing.

S3 answers so (409) while another write of the same key is under way, and asks for a retry; obstore does retry an
update, but no create. Source: Amazon S3 API, PutObject, `If-None-Match`; arrow-rs-object-store PR #852.
"""

MAX_KEY_BYTES = 1024
"""Both clouds' bound."""


class Revision(Record):
    """Which state of an object was read: what a compare-and-swap compares."""

    etag: str | None
    version: str | None


class Stored(Record):
    """An object's bytes, and the state that they are of."""

    data: bytes
    revision: Revision
    media_type: str = ""
    """The stored `Content-Type`; empty where the store keeps none."""
    coding: str = ""
    """The stored `Content-Encoding`: what whoever uploaded the object compressed it by."""


ReadExactly = Callable[[str, str | None, int | None], Stored]
"""Reads the object of exactly one key, as `Store.read` does."""


class Store:
    """A root URL in object storage; keys are relative to it."""

    def __init__(
        self,
        url: str,
        backend: Any,
        open_backend: Callable[[Any], Any] | None = None,
        read_exactly: ReadExactly | None = None,
    ) -> None:
        """Wrap an obstore store; see `open_store`.

        Args:
            url: The canonical root URL.
            backend: The obstore store.
            open_backend: Opens it again with other options for its connections.
            read_exactly: Reads the objects whose keys obstore would change or refuse.
        """
        self.url = url
        self.backend = backend
        self._open_backend = open_backend
        self._read_exactly = read_exactly

    @deadline.bounded
    def read(
        self,
        key: str,
        version: str | None = None,
        at_most: int | None = None,
        admit: Callable[[int], object] | None = None,
    ) -> Stored:
        """Read an object whole; `version` asks for one version or generation of it.

        `admit` gets the size before the bytes are read, and may refuse them.

        Raises:
            ObjectNotFoundError, BucketNotFoundError, StoreError
            TooLargeError: more than `at_most` bytes; nothing of it was read.
            InvalidNameError: a key that no store has, or that cannot be read as it is.
        """
        if self._read_exactly is not None and not is_kept(key):
            self._require_storable(key)
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
                    del result  # else its connection stays open as long as somebody keeps the error
                    raise
            return _stored(result, revision)

    @deadline.bounded
    def read_if_changed(self, key: str, revision: Revision) -> Stored | None:
        """Read an object whole, or nothing of it where it is still at `revision`; raises as `read` does."""
        with self._translated(key):
            try:
                result, found = self._get(key, {"if_none_match": revision.etag})
            except obstore.exceptions.NotModifiedError:
                return None
            return _stored(result, found)

    def chunks(self, key: str, within: tuple[int, int] | None = None) -> Iterator[memoryview]:
        """Read a large object piece by piece, or its bytes from one position to before another.

        Raises:
            ObjectNotFoundError, BucketNotFoundError, StoreError
        """
        stream = self._stream(key, {"range": within} if within else {})
        while (chunk := self._next(stream, key)) is not None:
            yield memoryview(chunk)

    @deadline.bounded
    def put_if_absent(self, key: str, data: bytes) -> None:
        """Write an object that nobody has written before.

        Raises:
            ConflictError: other bytes are there already.
            BucketNotFoundError, StoreError
        """
        self._put(key, data, "create")

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        """Write an object that nobody has written since `revision` was read (None: that was not there).

        Raises:
            ConflictError: somebody has.
            BucketNotFoundError, StoreError
        """
        if revision is None:
            self.put_if_absent(key, data)
            return
        state = {"e_tag": revision.etag, "version": revision.version}
        self._put(key, data, {name: value for name, value in state.items() if value is not None})

    @deadline.bounded
    def children(self, prefix: str) -> list[str]:
        """The names directly under `prefix`, of objects and of further prefixes, sorted; empty where there are none.

        Raises:
            BucketNotFoundError, StoreError
        """
        with self._translated(prefix):
            found = obstore.list_with_delimiter(self.backend, prefix)
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of all objects under `prefix`, in no order.

        Raises:
            BucketNotFoundError, StoreError
        """
        with self._translated(prefix):
            pages = iter(obstore.list(self.backend, prefix))
        while (page := self._next(pages, prefix)) is not None:
            yield from (item["path"] for item in page)

    def missing_condition(self, key: str, data: bytes) -> str | None:
        """Return which condition of a write the store does not keep, by trying all with an object of no meaning.

        Without them two publishers at once overwrite each other's versions. Only stores that speak S3 are tried: they
        are many, and some ignore the headers.

        Args:
            key: An object that nobody reads; it stays.
            data: The bytes that it always has.

        Raises:
            BucketNotFoundError, StoreError
        """
        if not isinstance(self.backend, S3Store):
            return None
        self._takes(key, data, "create")
        if self._takes(key, data, "create"):
            return "If-None-Match"
        if self._takes(key, data, {"e_tag": '"00000000000000000000000000000000"'}):
            return "If-Match"
        try:
            is_weak = _is_weak(self.read(key).revision.etag)
        except (CredentialsError, ObjectNotFoundError):  # who may not write there learns nothing
            return None
        return "If-Match, as it gives weak ETags" if is_weak else None

    def _takes(self, key: str, data: bytes, mode: Any) -> bool:
        try:
            with self._translated(key, is_write=True):
                obstore.put(self.backend, key, data, mode=mode)
        except (ConflictError, CredentialsError):
            return False
        return True

    @deadline.bounded
    def sign(self, key: str, lifetime: timedelta) -> str | None:
        """A URL by which anybody may read an object for a while; None where the store has no such thing.

        Raises:
            StoreError: the store's credentials cannot sign.
        """
        if not isinstance(self.backend, S3Store | GCSStore):
            return None
        with self._translated(key):
            return obstore.sign(self.backend, "GET", key, lifetime)

    @deadline.bounded
    def _stream(self, key: str, options: Any) -> Iterator[Any]:
        """Begin to read an object; return the iterator over its pieces."""
        with self._translated(key):
            result, _ = self._get(key, options)
            return iter(result.stream(min_chunk_size=CHUNK_BYTES))

    @deadline.bounded
    def _next(self, pieces: Iterator[Any], key: str) -> Any | None:
        """Wait for the next piece of an object or page of a listing; None at the end."""
        with self._translated(key):
            return next(pieces, None)

    def _get(self, key: str, options: Any) -> tuple[Any, Revision]:
        """Begin to read an object; gives what its body comes from, and the state that it is in.

        Raises:
            InvalidNameError: a key that obstore would change or refuse.
            StoreError: an answer without an ETag. Every object has one, an error document that came as a 200 has not.
        """
        self._require_kept(key)
        result = obstore.get(self.backend, key, options=options)
        meta = result.meta
        if meta["e_tag"] is None:
            raise StoreError(f"{self.url}/{key}: expected an object with its ETag, got an answer without one")
        return result, Revision(meta["e_tag"], meta["version"])

    def _require_kept(self, key: str) -> None:
        self._require_storable(key)
        if not is_kept(key):
            raise InvalidNameError(
                f"{self.url}/{key}: expected a key without empty parts, '.', '..' and control characters; "
                "others can be read from s3:// and gs:// only"
            )

    def _require_storable(self, key: str) -> None:
        try:
            size_bytes = len(key.encode())
        except UnicodeEncodeError as error:
            raise InvalidNameError(f"{self.url}/{key!r:.200}: expected a key in Unicode") from error
        if not 0 < size_bytes <= MAX_KEY_BYTES:
            raise InvalidNameError(f"{self.url}/{key:.200}: expected 1 to {MAX_KEY_BYTES} bytes, got {size_bytes}")

    def _put(self, key: str, data: bytes, mode: Any) -> None:
        self._require_kept(key)
        for pause_s in (*CONFLICT_PAUSES_S, None):
            try:
                with self._translated(key, is_write=True):
                    self._send(key, data, mode)
            except (ConflictError, CredentialsError) as error:
                if self._is_written(key, data, mode, error):
                    return
                if pause_s is None:
                    raise StoreError(
                        f"{self.url}/{key}: the store refuses it for another, and there is none"
                    ) from error
                time.sleep(pause_s)
            else:
                return

    def _send(self, key: str, data: bytes, mode: Any) -> None:
        """Send an object, and again where the connection broke: one that arrived all the same conflicts with itself.

        obstore repeats what is harmless to repeat, and holds that this is not.
        """
        is_large = len(data) > LARGE_BYTES
        timeout = timedelta(seconds=30 + len(data) // SLOWEST_BYTES_PER_S)
        client = {"timeout": timeout} if is_large else CLIENT
        try:
            obstore.put(self._connect(client) if is_large else self.backend, key, data, mode=mode)
        except obstore.exceptions.GenericError:
            obstore.put(self._connect(client), key, data, mode=mode)  # the others that were open may be broken, too

    def _connect(self, client: Any) -> Any:
        """The same store over connections of its own; the same connections where it has none."""
        return self._open_backend(client) if self._open_backend else self.backend

    def _is_written(self, key: str, data: bytes, mode: Any, error: ConflictError | CredentialsError) -> bool:
        """Whether a write that was refused is there all the same; False where it is worth another try.

        A retried request whose first reply was lost conflicts with itself. Who may write and not delete may be refused
        before it is looked whether the object is there.

        Raises:
            ConflictError: other bytes are there.
            CredentialsError: it was refused for itself.
        """
        is_create = mode == "create"
        found = self._find(key) if is_create or isinstance(error, ConflictError) else None
        if found == data:
            return True
        if is_create and found is not None:
            raise ConflictError(f"{self.url}/{key}: somebody else wrote it first") from error
        if not is_create and isinstance(error, ConflictError) and _is_weak(mode.get("e_tag")):
            raise StoreError(
                f"{self.url}/{key}: the store, or a proxy before it, gives weak ETags ({mode['e_tag']}), on which no "
                "write can be conditional: expected strong ones; a proxy gives them if it does not compress"
            ) from error
        if not is_create or isinstance(error, CredentialsError):
            raise error
        return False

    def _find(self, key: str) -> bytes | None:
        try:
            return self.read(key).data
        except ObjectNotFoundError:
            return None

    @contextmanager
    def _translated(self, key: str, *, is_write: bool = False) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            raise translate(error, f"{self.url}/{key}", is_write=is_write) from error


def _is_weak(etag: str | None) -> bool:
    """Whether an ETag does not say that the bytes are the same (RFC 9110, section 8.8.1)."""
    return etag is not None and etag.startswith("W/")


def is_kept(key: str) -> bool:
    """Whether obstore asks the store for this key as it is.

    obstore drops a slash at either end, and refuses empty parts, `.`, `..` and control characters: its `Path` is made
    for paths, and a key is any text. Source: arrow-rs-object-store, `path/mod.rs` and `path/parts.rs`.
    """
    if any(character < " " or character == "\x7f" for character in key):
        return False
    return not any(part in {"", ".", ".."} for part in key.split("/"))


def _stored(result: Any, revision: Revision) -> Stored:
    """Return all of what obstore has begun to read."""
    attributes = result.attributes
    data = result.bytes().to_bytes()
    return Stored(data, revision, attributes.get("Content-Type", ""), attributes.get("Content-Encoding", ""))
