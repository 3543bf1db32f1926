"""The header of a BMP. Source: Microsoft, "Bitmap Storage" and BITMAPV5HEADER."""

from __future__ import annotations

from onnxlet.errors import UnreadablePayloadError
from onnxlet.media.image_headers.image_file import PIXEL_BYTES, ImageFile

OLD_HEADER_BYTES = 12
"""The size of the second header in OS/2's form, which has 16-bit sizes and no compression."""

BITS = frozenset({1, 4, 8, 16, 24, 32})

UNCOMPRESSED = frozenset({0, 3})
"""The compressions without any: plain pixels, and pixels with masks for their colours."""


def read(body: bytes) -> ImageFile | None:
    """Read both headers of a BMP; return None if they do not state a size, or the file is shorter than its pixels.

    Raises:
        UnreadablePayloadError: the pixels are compressed, which Pillow decodes in Python.
    """
    if len(body) < 34:
        return None
    start = int.from_bytes(body[10:14], "little")
    if int.from_bytes(body[14:18], "little") == OLD_HEADER_BYTES:
        width, height = int.from_bytes(body[18:20], "little"), int.from_bytes(body[20:22], "little")
        bits, compression = int.from_bytes(body[24:26], "little"), 0
    else:
        width = int.from_bytes(body[18:22], "little", signed=True)
        height = abs(int.from_bytes(body[22:26], "little", signed=True))
        bits, compression = int.from_bytes(body[28:30], "little"), int.from_bytes(body[30:34], "little")
    if compression not in UNCOMPRESSED or bits not in BITS:
        raise UnreadablePayloadError(
            f"the image/bmp has {bits} bits and the compression {compression}, expected an uncompressed one"
        )
    row_bytes = (width * bits + 31) // 32 * 4
    if width <= 0 or height <= 0 or start + row_bytes * height > len(body):
        return None
    return ImageFile([body], width, height, 1 if bits <= 8 else PIXEL_BYTES)
