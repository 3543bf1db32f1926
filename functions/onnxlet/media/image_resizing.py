"""Resizing: a large image to the size that the preprocess graph would give it, in less memory than a graph takes.

The pixels differ from the graph's by 1 of 255 at most, or by 2 where both axes round against each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from onnxlet.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from onnxlet.contract.declarations import ImagePreprocess

STRIP_PIXELS = 256 * 1024
"""The pixels of a large image that are converted at a time: a conversion takes 4 bytes for each pixel."""

STRIP_BYTES = 32 * STRIP_PIXELS
"""The memory for one strip: up to six copies of it, and blocks that the C library has not returned yet."""

MAX_KEPT_PIXELS = 512 * 512
"""The pixels from which an image is resized here, if the model takes fewer; the preprocess graph resizes others.

A browser resizes these with the same graph.
"""

KEPT_BYTES = 40
"""The memory for each pixel of a preprocess graph's input: published graphs cast all pixels to FP32 first."""


class Resizing(Record):
    """The steps that resize an image before the preprocess graph."""

    size: tuple[int, int]
    """The width and height of the resized image after it is turned upright."""
    resampling: str = "bilinear"
    antialias: bool = True

    @classmethod
    def of(cls, declaration: ImagePreprocess, own: tuple[int, int]) -> Resizing | None:
        """Return how to resize an image whose own width and height are `own`; None for one that keeps its size.

        A graph resizes what becomes larger.
        """
        pixels = math.prod(own)
        if pixels <= max(MAX_KEPT_PIXELS, declaration.width * declaration.height):
            return None
        size = declaration.resized(*own)
        if math.prod(size) >= pixels:
            return None
        return cls(size, declaration.resampling, declaration.antialias)

    def apply(
        self, image: Image.Image, to_mode: Callable[[Image.Image], Image.Image], mode: str, *, is_turned: bool
    ) -> Image.Image:
        """Convert an image to a mode and resize it.

        Args:
            image: The image before it is turned upright.
            to_mode: Converts a part of the image to the mode.
            mode: Pillow's name of the mode.
            is_turned: Whether turning the image upright will exchange its width and height.
        """
        size = self.size[::-1] if is_turned else self.size
        if not self.antialias:
            return _sampled(image, to_mode, size)
        return _averaged(image, to_mode, mode, size, self.resampling, is_turned=is_turned)


def _averaged(
    image: Image.Image,
    to_mode: Callable[[Image.Image], Image.Image],
    mode: str,
    size: tuple[int, int],
    resampling: str,
    *,
    is_turned: bool,
) -> Image.Image:
    """Convert an image strip by strip, and resize it as Pillow resizes a whole image: along one axis, then the other.

    The axis that shrinks more comes first, which makes the smaller intermediate image; if both shrink alike, the width
    of the upright image comes first. Pillow mostly chooses the same; otherwise a pixel may differ by 1 of 255, because
    Pillow rounds after each axis.
    """
    from PIL import Image
    from PIL.Image import Resampling

    kernel = Resampling.BICUBIC if resampling == "bicubic" else Resampling.BILINEAR
    (width, height), (to_width, to_height) = image.size, size
    by_width = width * to_height > height * to_width or (width * to_height == height * to_width and not is_turned)
    made = Image.new(mode, (to_width, height) if by_width else (width, to_height))
    thickness = max(1, STRIP_PIXELS // (width if by_width else height))
    for start in range(0, height if by_width else width, thickness):
        if by_width:
            strip = to_mode(image.crop((0, start, width, min(start + thickness, height))))
            made.paste(strip.resize((to_width, strip.height), kernel), (0, start))
        else:
            strip = to_mode(image.crop((start, 0, min(start + thickness, width), height)))
            made.paste(strip.resize((strip.width, to_height), kernel), (start, 0))
    return made.resize(size, kernel)


def _sampled(image: Image.Image, to_mode: Callable[[Image.Image], Image.Image], size: tuple[int, int]) -> Image.Image:
    """Make each pixel of the four around its centre, as OpenCV's bilinear interpolation does.

    Pillow itself would round all pixels down: it takes the four pixels here, and blends them by rounded weights.
    """
    from PIL import Image

    columns, rows = _Axis(image.width, size[0]), _Axis(image.height, size[1])
    right, down = Image.new("L", size), Image.new("L", size)
    right.putdata(columns.weights * size[1])
    down.putdata([weight for weight in rows.weights for _ in range(size[0])])

    def taken(column: int, row: int) -> Image.Image:
        box = (*columns.box(column), *rows.box(row))
        part = image.transform(size, Image.Transform.EXTENT, (box[0], box[2], box[1], box[3]), Image.Resampling.NEAREST)
        return to_mode(part)

    upper, lower = (Image.composite(taken(1, row), taken(0, row), right) for row in (0, 1))
    return Image.composite(lower, upper, down)


class _Axis:
    """The positions of new pixels on one axis of an image."""

    def __init__(self, old: int, new: int) -> None:
        self._old = old
        self._nudge = 1 / (16 * new)  # no rounding error reaches the next pixel
        positions = [(2 * index + 1) * old / (2 * new) - 0.5 for index in range(new)]
        self.weights = [self._weight(position) for position in positions]
        """The weight of the pixel after each position, 0 to 255."""

    def _weight(self, position: float) -> int:
        """Return the weight of the next pixel; all of it before the first pixel, and nothing after the last one."""
        if position < 0:
            return 255
        before = math.floor(position + self._nudge)
        return 0 if before >= self._old - 1 else min(255, max(0, round(255 * (position - before))))

    def box(self, step: int) -> tuple[float, float]:
        """Return the part of the axis whose nearest pixels are those before (0) or after (1) the positions."""
        shift = step - 0.5 + self._nudge
        return shift, self._old + shift
