"""The header of a GIF, whose first frame is the picture. Source: GIF89a specification (CompuServe, 1990)."""

from __future__ import annotations

from onnxlet.errors import TooLargeError
from onnxlet.limits import MAX_CHUNKS
from onnxlet.media.image_headers.image_file import ImageFile

GIF_BYTES = 2
"""The bytes that Pillow takes for each pixel: the frame, and the canvas that it lies on."""

MAX_BLOCKS = 65_536
"""The parts of one extension, each with up to 255 bytes."""

EXTENSION, FRAME = 0x21, 0x2C
"""The bytes that begin a block."""

GRAPHIC_CONTROL = 0xF9
"""The label of the extension with the transparent colour of the next frame; others are not the picture."""

HAS_TABLE, TABLE_SIZE = 0x80, 0x07
"""The flags for a table of colours, and the bits of its size."""


def read(body: bytes) -> ImageFile | None:
    """Read the blocks of a GIF up to its first frame; return None if it has no frame.

    Raises:
        TooLargeError: there are more blocks before the frame than in a real image.
    """
    file = memoryview(body)
    if len(file) < 13:
        return None
    position = 13 + _table_bytes(file[10])
    parts: list[bytes | memoryview] = [file[:position]]
    for _ in range(MAX_CHUNKS):
        if position + 10 > len(file):
            return None
        if file[position] == FRAME:
            left, top, width, height = (
                int.from_bytes(file[position + at : position + at + 2], "little") for at in (1, 3, 5, 7)
            )
            screen = int.from_bytes(file[6:8], "little"), int.from_bytes(file[8:10], "little")
            size = max(screen[0], left + width), max(screen[1], top + height)
            return ImageFile([*parts, file[position:]], *size, GIF_BYTES) if width and height else None
        if file[position] != EXTENSION:
            return None
        end = _end(body, position + 2)
        if file[position + 1] == GRAPHIC_CONTROL:
            parts[1:] = [file[position:end]]
        position = end
    raise TooLargeError(f"the image has too many extensions: expected at most {MAX_CHUNKS}")


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & TABLE_SIZE) + 1) if flags & HAS_TABLE else 0


def _end(body: bytes, position: int) -> int:
    """Return the end of the sub-blocks that begin at a position: each has its length before it, and the last has 0."""
    for _ in range(MAX_BLOCKS):
        if position >= len(body) or not body[position]:
            return position + 1
        position += 1 + body[position]
    raise TooLargeError(f"the image has too many blocks: expected at most {MAX_BLOCKS} in an extension")
