"""Colours: a decoded image of any mode to 8 bits a channel, with white where it is transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image


def key_on_white(image: Image.Image, png: bytes) -> None:
    """Make the transparent colour of a PNG of 16-bit colours white; Pillow keeps only the upper 8 bits of them.

    Args:
        image: The decoded image, which is changed.
        png: The file.
    """
    from io import BytesIO

    from PIL import Image, ImageChops

    key = image.info.pop("transparency")
    with Image.open(BytesIO(png), formats=["PNG"]) as lower:
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]  # reads the lower bytes
        bands = (*image.split(), *lower.split())
    values = [value >> 8 for value in key] + [value & 255 for value in key]
    is_key = Image.new("L", image.size, 255)
    for band, value in zip(bands, values, strict=True):
        is_key = ImageChops.darker(is_key, band.point([255 * (level == value) for level in range(256)]))
    image.paste("white", mask=is_key)


def converter(image: Image.Image, bit_depth: int, mode: str) -> Callable[[Image.Image], Image.Image]:
    """Return a function that converts a strip of an image to a mode, with white where it is transparent.

    Args:
        image: The whole image.
        bit_depth: The bits of a sample in its file.
        mode: Pillow's name of the mode, `L` or `RGB`.
    """
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        # Pillow's `convert` clips 16-bit greys at 255. Keep their upper 8 bits, as Pillow does with 16-bit colours.
        table = _on_white([value >> 8 for value in range(65536)], key)
        return lambda strip: strip.convert("I").point(table, "L").convert(mode)
    if image.mode in {"1", "L"} and key is not None:
        # Pillow scales 1, 2 and 4 bits to 0 to 255, but does not scale the transparent value.
        table = _on_white(list(range(256)), key * 255 // ((1 << bit_depth) - 1))
        return lambda strip: strip.convert("L").point(table).convert(mode)
    if image.has_transparency_data:
        return lambda strip: _composed(strip).convert(mode)
    return lambda strip: strip.convert(mode)


def _on_white(table: list[int], key: int | None) -> list[int]:
    """Return a table of greys with white in place of the transparent grey."""
    if key is not None and key < len(table):
        table[key] = 255
    return table


def _composed(image: Image.Image) -> Image.Image:
    """Return the image on white, without its transparency."""
    from PIL import Image

    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
