"""Allowed objects: objects that a request refers to by URL instead of sending them.

Only the prefixes in `ONNXLET_INPUTS` are allowed.
"""

from collections.abc import Callable, Sequence

from onnxlet.errors import ForbiddenError
from onnxlet.http import GZIP_MAGIC, inflated
from onnxlet.limits import MAX_BODY_BYTES, REFERENCE_SCHEMES
from onnxlet.storage import Store, Stored


def content(stored: Stored) -> bytes:
    """Return an object's bytes without the compression that its uploader declared.

    Cloud Storage may already have removed the gzip without saying so.

    Raises:
        UnsupportedMediaError, UnreadablePayloadError, TooLargeError: see `http.inflated`.
    """
    is_transcoded = "gzip" in stored.coding.lower() and not stored.data.startswith(GZIP_MAGIC)
    return stored.data if not stored.coding or is_transcoded else inflated(stored.data, stored.coding)


class AllowedObjects:
    """The objects under the URL prefixes of `ONNXLET_INPUTS`."""

    def __init__(self, prefixes: Sequence[str], open_bucket: Callable[[str], Store]) -> None:
        """Set up the reader.

        Args:
            prefixes: The allowed prefixes, without a slash at their ends.
            open_bucket: Opens the bucket with a URL such as `s3://bucket`.
        """
        self._prefixes = tuple(prefixes)
        self._open_bucket = open_bucket

    def read(self, url: str) -> bytes:
        """Return the bytes of the object at a URL, which is not percent-encoded.

        Raises:
            ForbiddenError: the URL is not below an allowed prefix, or could be read in two ways.
            ObjectNotFoundError, BucketNotFoundError, TooLargeError, StoreError: see `Store.read`.
            UnsupportedMediaError, UnreadablePayloadError: see `content`.
        """
        scheme, _, rest = url.partition("://")
        bucket, *parts = rest.split("/")
        is_plain = all(part not in {"", ".", ".."} for part in (bucket, *parts)) and url.isprintable()
        is_allowed = any(url.startswith(f"{prefix}/") for prefix in self._prefixes)
        if not is_plain or not is_allowed or f"{scheme}://" not in REFERENCE_SCHEMES:
            raise ForbiddenError(f"{url:.200}: expected an object under {self._describe()}")
        return content(self._open_bucket(f"{scheme}://{bucket}").read("/".join(parts), at_most=MAX_BODY_BYTES))

    def _describe(self) -> str:
        return " or ".join(self._prefixes) or "a prefix of ONNXLET_INPUTS, which is empty"
