"""EXIF: the orientation of an image, from the data that an image file or a TIFF has for that.

Source: EXIF 2.32.
"""

from __future__ import annotations

from typing import Literal

EXIF_HEAD = b"Exif\0\0"

ORIENTATION, SHORT = 0x0112, 3
"""The EXIF tag of the orientation, and the type of its value."""


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
