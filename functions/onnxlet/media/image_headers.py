"""Image files: their headers are read before anything is decoded, and everything but the picture is removed.

A file of 34 bytes may decode to 50 megapixels, and a colour profile or a text may be damaged, or grow from a few bytes
to megabytes. So the size is read from the header before Pillow sees the file, and Pillow sees only the picture.

Source: PNG (W3C, third edition), JPEG (ITU T.81; JFIF 1.02; Adobe technical note 5116), WebP (RFC 9649), EXIF 2.32.
"""

from __future__ import annotations

from typing import Literal

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_CHUNKS, MAX_PIXELS, MAX_SCANS, MAX_SIDE_PIXELS
from onnxlet.record import Record

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

GREY, COLOURS, PALETTE = 0, 2, 3
"""The colour types of a PNG with a separate chunk for transparency."""

PNG_BYTES = {GREY: 1, COLOURS: 4, PALETTE: 1, 4: 4, 6: 4}
"""The bytes that Pillow takes for each pixel, by the colour type. Measured, as are the constants below."""

DEEP_BYTES = {(GREY, False): 2, (GREY, True): 2, (COLOURS, False): 4, (COLOURS, True): 18}
"""The bytes that Pillow takes for each pixel of 16-bit samples, by colour type and whether a value is transparent."""

JPEG_BYTES = {1: 1}
"""The bytes that Pillow takes for each pixel, by the number of components; `PIXEL_BYTES` for all others."""

PIXEL_BYTES = 4

WEBP_BYTES = 17
"""The bytes that Pillow takes for each pixel: two canvases, the bytes that it reads from them, and the image."""

WEBP_SIDE_CHUNKS, WEBP_SIDE_FLAGS = frozenset({b"ICCP", b"XMP "}), 0b101100
"""The chunks of a WebP that, like EXIF, are not the picture, and the header's flags for the three of them."""

COEFFICIENT_BYTES = 2
"""The bytes that libjpeg takes for each sample of a JPEG with several scans until it has read the last one."""

JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The markers of the segment that states a JPEG's size (SOF)."""

SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
"""The markers in `JPEG_SIZES` of pictures that may have a single scan."""

STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""The markers without a segment after them."""

START_OF_SCAN, END_OF_IMAGE, JFIF, EXIF, ADOBE, COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE, 0xFE

APPLICATION = range(0xE0, 0xF0)
"""The markers of segments that are not the picture."""

EXIF_HEAD = b"Exif\0\0"

ORIENTATION, SHORT = 0x0112, 3
"""The EXIF tag of the orientation, and the type of its value."""


class ImageFile(Record):
    """An image file that is not decoded yet."""

    parts: list[bytes | memoryview]
    """The file with nothing but the picture."""
    width: int
    """The width in pixels before the image is turned upright."""
    height: int
    """The height in pixels before the image is turned upright."""
    pixel_bytes: float
    """The most memory that decoding takes for each pixel."""
    orientation: int = 1
    """The EXIF orientation, 1 (upright) to 8; 1 if the file states no readable one."""
    bit_depth: int = 8
    """The bits of one sample of a PNG."""

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height


def parse(body: bytes, media_type: str) -> ImageFile:
    """Read the header of an image file.

    Args:
        body: The file.
        media_type: `image/png`, `image/jpeg` or `image/webp`.

    Raises:
        UnreadablePayloadError: the file is of another type, or its header is damaged.
        TooLargeError: the image has more than `MAX_PIXELS`, or more parts than a real image.
    """
    is_of_type, read = _READERS[media_type]
    if not is_of_type(body):
        raise UnreadablePayloadError(f"expected {media_type}, got {len(body)} bytes of another format")
    file = read(body)
    if file is None:
        raise UnreadablePayloadError(f"the {media_type} is damaged: expected a header that states a size")
    if file.pixels > MAX_PIXELS or max(file.width, file.height) > MAX_SIDE_PIXELS:
        raise TooLargeError(
            f"the image has {file.width} x {file.height} pixels, expected at most {MAX_PIXELS} pixels "
            f"and {MAX_SIDE_PIXELS} on a side: send a smaller one"
        )
    return file


def is_png(body: bytes) -> bool:
    """Return whether a file begins as a PNG."""
    return body.startswith(PNG_SIGNATURE)


def is_jpeg(body: bytes) -> bool:
    """Return whether a file begins as a JPEG."""
    return body.startswith(b"\xff\xd8\xff")


def is_webp(body: bytes) -> bool:
    """Return whether a file begins as a WebP."""
    return body.startswith(b"RIFF") and body[8:12] == b"WEBP"


def orientation(exif: bytes | memoryview) -> int:
    """Return the orientation that EXIF states, 1 to 8; 1 where it states no readable one."""
    if bytes(exif[:6]) == EXIF_HEAD:
        exif = exif[6:]
    order: Literal["little", "big"] | None = {b"II*\0": "little", b"MM\0*": "big"}.get(bytes(exif[:4]))  # type: ignore[assignment]
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    for position in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        if int.from_bytes(exif[position : position + 2], order) == ORIENTATION:
            is_short = int.from_bytes(exif[position + 2 : position + 4], order) == SHORT
            value = int.from_bytes(exif[position + 8 : position + 10], order)
            return value if is_short and 1 <= value <= 8 else 1
    return 1


# ---------------------------------------------------------------------- PNG


def _read_png(body: bytes) -> ImageFile | None:
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


# ---------------------------------------------------------------------- JPEG


def _read_jpeg(body: bytes) -> ImageFile | None:
    """Read the segments of a JPEG up to its first scan; return None if no segment states a size."""
    file = memoryview(body)
    parts: list[bytes | memoryview] = [file[:2]]
    size: memoryview | None = None
    turned, position = 1, 2
    for _ in range(MAX_CHUNKS):
        marker, position = _next_marker(body, position)
        if marker in STANDALONE:
            continue
        if marker in {None, START_OF_SCAN, END_OF_IMAGE}:
            break
        end = position + max(2, int.from_bytes(file[position : position + 2]))
        segment = file[position - 2 : end]
        if marker in JPEG_SIZES and size is None:
            size = segment
        if marker == EXIF and turned == 1 and bytes(segment[4:10]) == EXIF_HEAD:
            turned = orientation(segment[4:])
        if _is_picture(marker, segment):
            parts.append(segment)
        position = end
    else:
        raise TooLargeError(f"the image has too many segments: expected at most {MAX_CHUNKS}")
    if size is None or len(size) < 10 or len(size) < 10 + 3 * size[9]:
        return None
    _check_scans(body, position)
    parts.append(file[max(2, position - 2) :])
    height, width, components = int.from_bytes(size[5:7]), int.from_bytes(size[7:9]), size[9]
    pixel_bytes = JPEG_BYTES.get(components, PIXEL_BYTES) + _coefficient_bytes(size, file[position : position + 3])
    return ImageFile(parts, width, height, pixel_bytes, turned)


def _next_marker(body: bytes, position: int) -> tuple[int | None, int]:
    """Return the next marker and the position after it; skip bytes before it, as libjpeg does."""
    position = body.find(b"\xff", position)
    while position >= 0 and position + 1 < len(body):
        if body[position + 1] not in {0x00, 0xFF}:
            return body[position + 1], position + 2
        position = body.find(b"\xff", position + 1)
    return None, len(body)


def _is_picture(marker: int | None, segment: memoryview) -> bool:
    """Return whether decoding needs a segment; a segment that defines the colours counts only if it is complete."""
    if marker == JFIF:
        return bytes(segment[4:9]) == b"JFIF\0" and len(segment) >= 18
    if marker == ADOBE:
        return bytes(segment[4:9]) == b"Adobe" and len(segment) >= 16
    return marker not in APPLICATION and marker != COMMENT


def _check_scans(body: bytes, start: int) -> None:
    """Refuse a JPEG with many scans: decoding goes over all pixels for each, and Pillow does not limit them."""
    scans = body.count(b"\xff\xda", max(0, start - 2))  # coded data never contain these bytes
    if scans > MAX_SCANS:
        raise TooLargeError(f"the image has {scans} scans, expected at most {MAX_SCANS}")


def _coefficient_bytes(size: memoryview, scan: memoryview) -> float:
    """Return the bytes that a decoder keeps for each pixel until the last scan; 0 if all components share one scan."""
    components = size[9]
    if size[1] in SEQUENTIAL and len(scan) == 3 and scan[2] >= components:
        return 0
    factors = [(size[11 + 3 * index] >> 4) * (size[11 + 3 * index] & 15) for index in range(components)]
    return COEFFICIENT_BYTES * sum(factors) / max([1, *factors])


# ---------------------------------------------------------------------- WebP


def _read_webp(body: bytes) -> ImageFile | None:
    """Read the first chunk of a WebP; return None if it does not state a size."""
    kind, data = body[12:16], body[20:30]
    if kind == b"VP8X" and len(data) == 10:
        size = int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    elif kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a" and len(data) == 10:
        size = int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    else:
        return None
    parts, turned = _webp_chunks(memoryview(body))
    return ImageFile(parts, *size, WEBP_BYTES, turned)


def _webp_chunks(file: memoryview) -> tuple[list[bytes | memoryview], int]:
    """Return the chunks of a WebP that are the picture, and the orientation that EXIF states."""
    chunks: list[bytes | memoryview] = []
    turned, position = 1, 12
    end = min(len(file), 8 + int.from_bytes(file[4:8], "little"))
    for _ in range(MAX_CHUNKS):
        if position >= end:
            break
        kind, size_bytes = (
            bytes(file[position : position + 4]),
            int.from_bytes(file[position + 4 : position + 8], "little"),
        )
        chunk = file[position : min(end, position + 8 + size_bytes + size_bytes % 2)]
        if kind == b"EXIF":
            turned = orientation(chunk[8:])
        elif kind == b"VP8X":
            chunks.append(bytes(chunk[:8]) + bytes(flags & ~WEBP_SIDE_FLAGS for flags in chunk[8:9]) + bytes(chunk[9:]))
        elif kind not in WEBP_SIDE_CHUNKS:
            chunks.append(chunk)
        position += max(8, len(chunk))
    else:
        raise TooLargeError(f"the image has too many chunks: expected at most {MAX_CHUNKS}")
    size_bytes = 4 + sum(map(len, chunks))
    return [b"RIFF" + size_bytes.to_bytes(4, "little") + b"WEBP", *chunks], turned


_READERS = {"image/png": (is_png, _read_png), "image/jpeg": (is_jpeg, _read_jpeg), "image/webp": (is_webp, _read_webp)}
