"""Masks: the pixels of objects or classes as PNG files, one for each mask or one for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract.tensors import Tensor
from onnxlet.media.images import require_pillow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

FASTEST = 1
"""The level of compression. The default takes three times as long for a third of the bytes."""

MAX_VALUES = 255
"""The numbers that the pixels of a map can have, besides 0."""


def encode(masks: Tensor) -> list[bytes]:
    """Return each mask as a PNG file of greys.

    Args:
        masks: UINT8 (masks, height, width), 0 or 255.

    Raises:
        UnsupportedMediaError: this function was packaged without Pillow.
    """
    return [_file(image) for image in _images(masks)]


def draw(masks: Tensor, size: tuple[int, int], values: Sequence[int]) -> bytes:
    """Return one PNG file with a palette, whose pixels have the value of their mask, or 0 outside of all masks.

    Args:
        masks: UINT8 (masks, height, width), 0 or 255; earlier ones cover later ones.
        size: The height and the width.
        values: The number of each mask, 1 to `MAX_VALUES`.

    Raises:
        UnsupportedMediaError: this function was packaged without Pillow.
    """
    require_pillow()
    from PIL import Image

    picture = Image.new("P", size[::-1])
    picture.putpalette(_palette())
    for value, image in reversed(list(zip(values, _images(masks), strict=True))):
        picture.paste(value, (0, 0), image)
    return _file(picture)


def _images(masks: Tensor) -> list[Image.Image]:
    """Return masks as images that share the tensor's memory."""
    require_pillow()
    from PIL import Image

    count, height, width = masks.shape
    pixels = height * width
    parts = [masks.buffer[index * pixels : (index + 1) * pixels] for index in range(count)]
    return [Image.frombuffer("L", (width, height), part, "raw", "L", 0, 1) for part in parts]  # type: ignore[arg-type]


def _file(image: Image.Image) -> bytes:
    from io import BytesIO

    file = BytesIO()
    image.save(file, "PNG", compress_level=FASTEST)
    return file.getvalue()


def _palette() -> list[int]:
    """Return the colours of PASCAL VOC's label maps, with white for 1.

    Source: The PASCAL Visual Object Classes Challenge, `VOClabelcolormap.m`.
    """
    colours = []
    for number in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (number >> 3 * bit + channel & 1) << 7 - bit if 3 * bit + channel < 8 else 0
        colours += [255, 255, 255] if number == 1 else channels
    return colours
