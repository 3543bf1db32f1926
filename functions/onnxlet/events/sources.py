"""The sources: what an event speaks of, whichever cloud it came through."""

from dataclasses import dataclass

from onnxlet.errors import OnnxletError


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object that an event speaks of."""

    scheme: str
    """`s3` or `gs`."""
    bucket: str
    key: str
    """As it is, not URL-encoded."""
    version: str | None = None
    """S3's version id or Cloud Storage's generation; None where the bucket keeps no versions."""

    def __post_init__(self) -> None:
        """Hold what a reader took from an event to the types that are said here.

        Raises:
            TypeError: it has others.
        """
        _require_texts(self.bucket, self.key, self.version or "")

    @property
    def bucket_url(self) -> str:
        """The root URL of the object's bucket."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def url(self) -> str:
        """The object's URL as it is, not encoded."""
        return f"{self.bucket_url}/{self.key}"


@dataclass(frozen=True, slots=True)
class Inline:
    """A payload that came inside of a message."""

    url: str
    """What the result says of where it came from."""
    key: str
    """Under which the result is written."""
    body: bytes
    media_type: str
    """Empty where the message does not say."""

    def __post_init__(self) -> None:
        """As `ObjectReference`'s."""
        _require_texts(self.media_type)


Source = ObjectReference | Inline


def _require_texts(*values: object) -> None:
    """Refuse what is not a text, or a text with a lone surrogate, which no store has a form for.

    Raises:
        TypeError: A value is such.
    """
    if not all(isinstance(value, str) and _is_encodable(value) for value in values):
        raise TypeError("expected texts")


@dataclass(frozen=True, slots=True)
class Message:
    """What one delivery of an event brings."""

    id: str | None
    """By which the queue is told what failed; None for an event that came through no queue."""
    sources: tuple[Source, ...] = ()
    error: OnnxletError | None = None
    """Why the message could not be read."""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message with one source, for a service that asks."""

    id: str
    text: str
    """The URL of the result, or why there is no answer."""
    is_answered: bool
    may_be_repeated: bool = False
    """Whether another delivery may be answered."""
