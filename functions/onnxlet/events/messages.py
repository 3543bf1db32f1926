"""The sources that an event names: objects and payloads, the same for both clouds."""

from __future__ import annotations

from onnxlet.errors import OnnxletError
from onnxlet.record import Record


class ObjectReference(Record):
    """An object that an event names."""

    scheme: str
    """`s3` or `gs`."""
    bucket: str
    key: str
    """The key, not URL-encoded."""
    version: str | None
    """S3's version id or Cloud Storage's generation; None if the bucket keeps no versions."""

    def __init__(self, scheme: str, bucket: str, key: str, version: str | None = None) -> None:
        """Check the fields, which a translator has taken from an event.

        Raises:
            TypeError: a field is not a string, or has half a surrogate pair.
        """
        _require_texts(bucket, key, version or "")
        super().__init__(scheme, bucket, key, version)

    @property
    def bucket_url(self) -> str:
        """The root URL of the object's bucket."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def url(self) -> str:
        """The object's URL, not encoded."""
        return f"{self.bucket_url}/{self.key}"


class Inline(Record):
    """A payload inside a message."""

    url: str
    """The `source` of the result."""
    key: str
    """The beginning of the result's key."""
    body: bytes
    media_type: str
    """The media type that the message states, or an empty string."""

    def __init__(self, url: str, key: str, body: bytes, media_type: str) -> None:
        """Check the media type, which a client has chosen.

        Raises:
            TypeError: it is not a string, or has half a surrogate pair.
        """
        _require_texts(media_type)
        super().__init__(url, key, body, media_type)


Source = ObjectReference | Inline


class Message(Record):
    """One message of an event."""

    id: str | None
    """The queue's identifier of the message; None for an event that came through no queue."""
    sources: tuple[Source, ...] = ()
    error: OnnxletError | None = None
    """The reason why the message could not be read."""


class Outcome(Record):
    """The outcome of a message with one source, for a service that needs an answer for each message."""

    id: str
    text: str
    """The URL of the result, or the reason why there is no answer."""
    is_answered: bool
    is_retryable: bool = False
    """Whether another delivery may be answered."""


def _require_texts(*values: object) -> None:
    """Require strings that UTF-8 can encode; it cannot encode half a surrogate pair, which JSON can.

    Raises:
        TypeError: a value is not such a string.
    """
    try:
        for value in values:
            value.encode()  # type: ignore[attr-defined]
    except (AttributeError, UnicodeEncodeError) as error:
        raise TypeError("expected strings") from error
