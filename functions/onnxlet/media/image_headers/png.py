"""The header of a PNG. Source: PNG (W3C, third edition)."""

from __future__ import annotations

from onnxlet.errors import TooLargeError
from onnxlet.limits import MAX_CHUNKS
from onnxlet.media.image_headers.exif import orientation
from onnxlet.media.image_headers.image_file import PIXEL_BYTES, ImageFile

GREY, COLOURS, PALETTE = 0, 2, 3
"""The colour types of a PNG with a separate chunk for transparency."""

PNG_BYTES = {GREY: 1, COLOURS: 4, PALETTE: 1, 4: 4, 6: 4}
"""The bytes that Pillow takes for each pixel, by the colour type. Measured, as are the constants below."""

DEEP_BYTES = {(GREY, False): 2, (GREY, True): 2, (COLOURS, False): 4, (COLOURS, True): 18}
"""The bytes that Pillow takes for each pixel of 16-bit samples, by colour type and whether a value is transparent."""


def read(body: bytes) -> ImageFile | None:
    """Read the chunks of a PNG; return None if the first does not state a size."""
    file = memoryview(body)
    if body[12:16] != b"IHDR" or len(file) < 33:
        return None
    width, height = int.from_bytes(file[16:20]), int.from_bytes(file[20:24])
    bit_depth, colour_type = file[24], file[25]
    parts: list[bytes | memoryview] = [file[:33]]
    turned = 1
    position, is_whole = 33, False
    for _ in range(MAX_CHUNKS):
        if is_whole or position >= len(file):
            break
        end = position + 12 + int.from_bytes(file[position : position + 4])
        kind, chunk = bytes(file[position + 4 : position + 8]), file[position:end]
        if kind == b"eXIf":
            turned = orientation(chunk[8:-4]) if turned == 1 else turned
        elif kind in {b"PLTE", b"IDAT", b"IEND"} or (kind == b"tRNS" and _is_transparency(chunk, colour_type)):
            parts.append(chunk)
        position, is_whole = end, kind == b"IEND"
    else:
        raise TooLargeError(f"the image has too many chunks: expected at most {MAX_CHUNKS}")
    pixel_bytes = PNG_BYTES.get(colour_type, PIXEL_BYTES)
    if bit_depth == 16 and colour_type in {GREY, COLOURS}:
        pixel_bytes = DEEP_BYTES[colour_type, any(bytes(part[4:8]) == b"tRNS" for part in parts)]
    return ImageFile(parts, width, height, pixel_bytes, turned, bit_depth)


def _is_transparency(chunk: memoryview, colour_type: int) -> bool:
    """Return whether a chunk `tRNS` is valid. Browsers ignore a damaged one, and so does `parse`."""
    import zlib  # only a PNG with such a chunk needs it

    size_bytes = len(chunk) - 12
    is_long_enough = {GREY: size_bytes == 2, COLOURS: size_bytes == 6, PALETTE: 1 <= size_bytes <= 256}
    return is_long_enough.get(colour_type, False) and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
