"""The header of a JPEG. Source: ITU T.81; JFIF 1.02; Adobe technical note 5116."""

from __future__ import annotations

from onnxlet.errors import TooLargeError
from onnxlet.limits import MAX_CHUNKS, MAX_SCANS
from onnxlet.media.image_headers.exif import EXIF_HEAD, orientation
from onnxlet.media.image_headers.image_file import PIXEL_BYTES, ImageFile

JPEG_BYTES = {1: 1}
"""The bytes that Pillow takes for each pixel, by the number of components; `PIXEL_BYTES` for all others. Measured."""

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


def read(body: bytes) -> ImageFile | None:
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
