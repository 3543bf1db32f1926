"""Texts: bytes to characters, in the character set that a media type declares."""

from onnxlet.errors import UnreadablePayloadError, UnsupportedMediaError
from onnxlet.media import media_types

ENCODINGS = {
    "": "utf-8-sig",
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "us-ascii": "utf-8-sig",
    "iso-8859-1": "iso-8859-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
}
"""Python's names for the character sets of texts."""


def decode(body: bytes, media_type: str) -> str:
    """Return a text, by default in UTF-8, with or without a byte order mark.

    Raises:
        UnsupportedMediaError: the media type declares another character set.
        UnreadablePayloadError: the bytes are not a text in the character set.
    """
    charset = media_types.parameter_of(media_type, "charset")
    if charset not in ENCODINGS:
        raise UnsupportedMediaError(f"expected text as UTF-8, got the character set {charset[:80]!r}")
    try:
        return body.decode(ENCODINGS[charset])
    except UnicodeDecodeError as error:
        raise UnreadablePayloadError(f"expected text as {charset.upper() or 'UTF-8'}: {error}") from error
