"""Image files: their headers are read before anything is decoded, and everything but the picture is removed.

A file of 34 bytes may decode to 50 megapixels, and a colour profile or a text may be damaged, or grow from a few bytes
to megabytes. So the size is read from the header before Pillow sees the file, and Pillow sees only the picture: of a
GIF the first frame, of a TIFF the first page.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_PIXELS, MAX_SIDE_PIXELS

if TYPE_CHECKING:
    from onnxlet.media.image_headers.image_file import ImageFile

FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
"""The media types with Pillow's names of the formats. The module of each has the name in lower case."""

BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
"""The sizes of a BMP's second header, which comes after 14 bytes."""


def sniff(body: bytes) -> str | None:
    """Return the media type of an image by its first bytes; None for anything else."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "image/webp"
    if body.startswith((b"GIF87a", b"GIF89a")) and body[12:13] == b"\0":  # a text may begin with these letters
        return "image/gif"
    if body.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    is_bmp = body.startswith(b"BM") and body[6:10] == bytes(4)
    return "image/bmp" if is_bmp and int.from_bytes(body[14:18], "little") in BMP_HEADERS else None


def parse(body: bytes, media_type: str) -> ImageFile:
    """Read the header of an image file.

    Args:
        body: The file.
        media_type: One of `FORMATS`.

    Raises:
        UnreadablePayloadError: the file is of another type, its header is damaged, or its form is not served.
        TooLargeError: the image has more than `MAX_PIXELS`, or more parts than a real image.
    """
    if sniff(body) != media_type:
        raise UnreadablePayloadError(f"expected {media_type}, got {len(body)} bytes of another format")
    reader = import_module(f"{__name__}.{FORMATS[media_type].lower()}")
    file: ImageFile | None = reader.read(body)
    if file is None:
        raise UnreadablePayloadError(f"the {media_type} is damaged: expected a header that states a size")
    if file.pixels > MAX_PIXELS or max(file.width, file.height) > MAX_SIDE_PIXELS:
        raise TooLargeError(
            f"the image has {file.width} x {file.height} pixels, expected at most {MAX_PIXELS} pixels "
            f"and {MAX_SIDE_PIXELS} on a side: send a smaller one"
        )
    return file
