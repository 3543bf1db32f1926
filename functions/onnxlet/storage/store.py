"""Store: a root URL whose objects can be read, created, and replaced by compare-and-swap.

A reply may get lost after the store has written the object. The request is then sent again, and the store refuses it:
the object is there already, or has another revision. So a refused write proves nothing until the object is read:

    put_if_absent, replace
           |
         _put ---------> _send ----- the connection breaks ----> _send over new connections
           ^               |                                                |
           |               +--- the store accepts --> done <----------------+
           |               |                                                |
           |               +--- the store refuses (409, 412, 403) <---------+
           |               v
           |          _is_written: read the object
           |               +--- it has these bytes ----------> done: this write was the one that succeeded
           |               +--- it has other bytes ----------> ConflictError: another writer was first
           +-- pause ------+--- there is no object ----------> StoreError after the last of CONFLICT_PAUSES_S

"There is no object" is only possible for a create: S3 answers 409 while another write of the same key is under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
import obstore.exceptions
from obstore.store import S3Store

from onnxlet.errors import ConflictError, CredentialsError, ObjectNotFoundError, StoreError
from onnxlet.limits import deadline
from onnxlet.storage.connection import CLIENT
from onnxlet.storage.reader import Reader, ReadExactly, Revision

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ClientConfig, ObjectStore

LARGE_BYTES = 256 * 1024
"""Size from which sending may take longer than `STALL_S`: such an object gets a connection without that timeout."""

SLOWEST_BYTES_PER_S = 128 * 1024
"""Slowest uplink over which a large object can be sent: 1 Mbit/s. obstore gives every request 30 seconds."""

CONFLICT_PAUSES_S = (0.05, 0.1, 0.2, 0.4)
"""Pauses before a create is sent again that conflicted although there is no object.

S3 answers 409 while another write of the same key is under way, and asks for a retry; obstore retries updates, but not
creates. Source: Amazon S3 API, PutObject, `If-None-Match`;
https://github.com/apache/arrow-rs-object-store/pull/852.
"""


class Store(Reader):
    """A root URL in object storage; keys are relative to it."""

    def __init__(
        self,
        url: str,
        backend: ObjectStore,
        open_backend: Callable[[ClientConfig], ObjectStore] | None = None,
        read_exactly: ReadExactly | None = None,
    ) -> None:
        """Wrap an obstore store; `open_store` makes it from a URL.

        Args:
            url: The canonical root URL.
            backend: The obstore store.
            open_backend: Opens the backend again with other options for its connections; None without connections.
            read_exactly: Reads the objects whose keys obstore would change or refuse.
        """
        super().__init__(url, backend, read_exactly)
        self._open_backend = open_backend

    @deadline.bounded
    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create an object.

        Raises:
            ConflictError: the object exists with other bytes.
            BucketNotFoundError, StoreError
        """
        self._put(key, data, "create")

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        """Replace an object if it is still at `revision`; with None, create it.

        Raises:
            ConflictError: another writer has changed the object.
            BucketNotFoundError, StoreError
        """
        if revision is None:
            self.put_if_absent(key, data)
            return
        condition: UpdateVersion = {}
        if revision.etag is not None:
            condition["e_tag"] = revision.etag
        if revision.version is not None:
            condition["version"] = revision.version
        self._put(key, data, condition)

    def missing_condition(self, key: str, data: bytes) -> str | None:
        """Return the condition of writes that the store ignores, found by writing an object that nobody reads.

        Without these conditions, two publishers overwrite each other's versions. Only stores that speak S3's protocol
        are tried: there are many, and some ignore the headers.

        Args:
            key: The key of the object, which stays.
            data: The bytes that this object always has.

        Raises:
            BucketNotFoundError, StoreError
        """
        if not isinstance(self.backend, S3Store):
            return None
        self._accepts(key, data, "create")
        if self._accepts(key, data, "create"):
            return "If-None-Match"
        if self._accepts(key, data, {"e_tag": '"00000000000000000000000000000000"'}):
            return "If-Match"
        try:
            is_weak = _is_weak(self.read(key).revision.etag)
        except (CredentialsError, ObjectNotFoundError):  # without the right to write, nothing can be found out
            return None
        return "If-Match, as it gives weak ETags" if is_weak else None

    def _accepts(self, key: str, data: bytes, mode: PutMode) -> bool:
        """Return whether the store accepts a write."""
        try:
            with self._translated(key, is_write=True):
                obstore.put(self.backend, key, data, mode=mode)
        except (ConflictError, CredentialsError):
            return False
        return True

    def _put(self, key: str, data: bytes, mode: PutMode) -> None:
        """Write an object; the module's docstring draws how."""
        self._require_plain_key(key)
        for pause_s in (*CONFLICT_PAUSES_S, None):
            try:
                with self._translated(key, is_write=True):
                    self._send(key, data, mode)
            except (ConflictError, CredentialsError) as error:
                if self._is_written(key, data, mode, error):
                    return
                if pause_s is None:
                    raise StoreError(
                        f"{self.url}/{key}: the store reports a conflicting object, but has none at this key; gave up "
                        f"after {len(CONFLICT_PAUSES_S) + 1} attempts"
                    ) from error
                time.sleep(pause_s)
            else:
                return

    def _send(self, key: str, data: bytes, mode: PutMode) -> None:
        """Send an object, and once more if the connection broke, which obstore itself only does for reads."""
        is_large = len(data) > LARGE_BYTES
        timeout = timedelta(seconds=30 + len(data) // SLOWEST_BYTES_PER_S)
        client: ClientConfig = {"timeout": timeout} if is_large else CLIENT
        try:
            obstore.put(self._reconnect(client) if is_large else self.backend, key, data, mode=mode)
        except obstore.exceptions.GenericError:
            obstore.put(self._reconnect(client), key, data, mode=mode)  # the pool's other connections may be dead, too

    def _reconnect(self, client: ClientConfig) -> ObjectStore:
        """Return the same store over new connections, or the same backend if it has no connections."""
        return self._open_backend(client) if self._open_backend else self.backend

    def _is_written(self, key: str, data: bytes, mode: PutMode, error: ConflictError | CredentialsError) -> bool:
        """Return whether a refused write has succeeded before; False if it may succeed at another attempt.

        Also a create that is refused for its credentials may have succeeded: S3 checks the right to overwrite before it
        checks whether the object is there.

        Raises:
            ConflictError: the object has other bytes.
            CredentialsError: the store refuses the credentials, and the object is not there.
        """
        is_create = mode == "create"
        current = self._read_or_none(key) if is_create or isinstance(error, ConflictError) else None
        if current == data:
            return True
        if is_create and current is not None:
            raise ConflictError(f"{self.url}/{key}: another writer was first") from error
        etag = mode.get("e_tag") if isinstance(mode, dict) else None
        if isinstance(error, ConflictError) and _is_weak(etag):
            raise StoreError(
                f"{self.url}/{key}: expected strong ETags, got the weak one {etag} from the store or a proxy in front "
                "of it, with which no write can be conditional; turn off the proxy's compression"
            ) from error
        if not is_create or isinstance(error, CredentialsError):
            raise error
        return False

    def _read_or_none(self, key: str) -> bytes | None:
        try:
            return self.read(key).data
        except ObjectNotFoundError:
            return None


def _is_weak(etag: str | None) -> bool:
    """Return whether an ETag does not promise equal bytes (RFC 9110, section 8.8.1)."""
    return etag is not None and etag.startswith("W/")
