"""An image file that is not decoded yet: what its header says, and the parts that are the picture."""

from __future__ import annotations

from onnxlet.record import Record

PIXEL_BYTES = 4
"""The most bytes that Pillow takes for each pixel of 8-bit samples. Measured."""


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
