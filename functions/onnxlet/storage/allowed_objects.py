"""The references: objects that a request names instead of sending them, from allowed places alone."""

from collections.abc import Callable, Sequence

from onnxlet.errors import ForbiddenError
from onnxlet.http import GZIP_MAGIC, inflated
from onnxlet.limits import MAX_BODY_BYTES, REFERENCE_SCHEMES
from onnxlet.storage import Store, Stored


def content(stored: Stored) -> bytes:
    """Return an object as it was before whoever uploaded it compressed it.

    Cloud Storage may have undone the gzip itself, and says so nowhere.

    Raises:
        UnsupportedMediaError, UnreadablePayloadError, TooLargeError: as `http.inflated`.
    """
    is_transcoded = "gzip" in stored.coding.lower() and not stored.data.startswith(GZIP_MAGIC)
    return stored.data if not stored.coding or is_transcoded else inflated(stored.data, stored.coding)


class References:
    """What a request may read: objects under the prefixes of `ONNXLET_INPUTS`, and nothing else."""

    def __init__(self, prefixes: Sequence[str], open_bucket: Callable[[str], Store]) -> None:
        """Take the URL prefixes, without a slash at their ends, and what opens the bucket of a URL."""
        self._prefixes = tuple(prefixes)
        self._open_bucket = open_bucket

    def read(self, url: str) -> bytes:
        """The bytes of an object, by its URL as it is, not encoded.

        Raises:
            ForbiddenError: not under an allowed prefix, or not in the plain form in which prefixes can be compared.
            ObjectNotFoundError, BucketNotFoundError, TooLargeError, StoreError: as `Store.read`.
            UnsupportedMediaError, UnreadablePayloadError: as `content`.
        """
        scheme, _, rest = url.partition("://")
        bucket, *parts = rest.split("/")
        is_plain = all(part not in {"", ".", ".."} for part in (bucket, *parts)) and url.isprintable()
        is_allowed = any(url.startswith(f"{prefix}/") for prefix in self._prefixes)
        if not is_plain or not is_allowed or f"{scheme}://" not in REFERENCE_SCHEMES:
            raise ForbiddenError(f"{url:.200}: expected an object under {self._describe()}")
        return content(self._open_bucket(f"{scheme}://{bucket}").read("/".join(parts), at_most=MAX_BODY_BYTES))

    def _describe(self) -> str:
        return " or ".join(self._prefixes) or "a prefix of ONNXLET_INPUTS, which allows none"
