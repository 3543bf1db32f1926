"""The header of a WebP. Source: RFC 9649."""

from __future__ import annotations

from onnxlet.errors import TooLargeError
from onnxlet.limits import MAX_CHUNKS
from onnxlet.media.image_headers.exif import orientation
from onnxlet.media.image_headers.image_file import ImageFile

WEBP_BYTES = 17
"""The bytes that Pillow takes for each pixel: two canvases, the bytes that it reads from them, and the image."""

WEBP_SIDE_CHUNKS, WEBP_SIDE_FLAGS = frozenset({b"ICCP", b"XMP "}), 0b101100
"""The chunks of a WebP that, like EXIF, are not the picture, and the header's flags for the three of them."""


def read(body: bytes) -> ImageFile | None:
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
