import struct
import zlib

import pytest
from PIL import Image

from onnxlet.contract.declarations import ImagePreprocess
from tests.helpers.image_files import (
    COLOR,
    GREY,
    chunk,
    decode,
    encode,
    with_chunk,
)


@pytest.mark.parametrize("declaration", [GREY, COLOR], ids=["grey", "color"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_an_image_of_any_mode_gets_the_declared_channels(mode: str, declaration: ImagePreprocess) -> None:
    file_format = "JPEG" if mode == "CMYK" else "PNG"
    data = encode(Image.new(mode, (5, 4)), file_format)
    assert decode(data, declaration, f"image/{file_format.lower()}").shape == (1, 4, 5, declaration.channels)


@pytest.mark.parametrize("declaration", [GREY, COLOR], ids=["grey", "color"])
def test_sixteen_bits_are_scaled_and_not_cut_off(declaration: ImagePreprocess) -> None:
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 0x8000, 0xFFFF)):
        image.putpixel((x, 0), value)
    assert decode(encode(image), declaration)[0, 0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_what_shows_through_a_transparent_image_is_white(file_format: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    data = encode(image, file_format, lossless=True)
    assert decode(data, media_type=f"image/{file_format.lower()}")[0, 0, :, 0].tolist() == [255, 0]


def grey_png(bit_depth: int, values: list[int], key: int | None, *, is_sound: bool = True) -> bytes:
    """One row of greys, with one of them transparent."""
    bits = "".join(f"{value:0{bit_depth}b}" for value in values)
    row = bytes(int(bits.ljust(-(-len(bits) // 8) * 8, "0")[at : at + 8], 2) for at in range(0, len(bits), 8))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", len(values), 1, bit_depth, 0, 0, 0, 0))
    transparent = b"" if key is None else chunk(b"tRNS", struct.pack(">H", key), is_sound=is_sound)
    return b"\x89PNG\r\n\x1a\n" + head + transparent + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("declaration", [GREY, COLOR], ids=["grey", "color"])
@pytest.mark.parametrize(
    ("bit_depth", "values", "key", "shown"),
    [
        (1, [0, 1, 0], 0, [255, 255, 255]),
        (1, [0, 1, 0], 1, [0, 255, 0]),
        (2, [0, 1, 2, 3], 1, [0, 255, 170, 255]),
        (4, [0, 1, 5, 15], 5, [0, 17, 255, 255]),
        (8, [0, 5, 100, 200], 100, [0, 5, 255, 200]),
        (8, [0, 5, 100, 200], 300, [0, 5, 100, 200]),
        (16, [0, 0x1234, 0x1235, 0x3400, 0xFFFF], 0x1234, [0, 255, 0x12, 0x34, 255]),
        (16, [0, 0x0034, 0x3412, 0x1200], 0x0034, [0, 255, 0x34, 0x12]),
        (16, [0x00FF, 0x0100, 0xFF00], 0, [0, 1, 255]),
    ],
)
def test_the_transparent_grey_of_a_png_is_white_and_no_other(
    bit_depth: int, values: list[int], key: int, shown: list[int], declaration: ImagePreprocess
) -> None:
    assert decode(grey_png(bit_depth, values, key), declaration)[0, 0, :, 0].tolist() == shown


def test_a_damaged_transparency_is_left_out() -> None:
    assert decode(grey_png(8, [1, 2], 1, is_sound=False))[0, 0, :, 0].tolist() == [1, 2]
    data = grey_png(8, [1, 2], None)
    assert decode(with_chunk(data, chunk(b"tRNS", b"\0")))[0, 0, :, 0].tolist() == [1, 2]


def colour_png(bit_depth: int, colours: list[tuple[int, int, int]], key: tuple[int, int, int]) -> bytes:
    kind = "B" if bit_depth == 8 else "H"
    row = b"".join(struct.pack(f">3{kind}", *colour) for colour in colours)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", len(colours), 1, bit_depth, 2, 0, 0, 0))
    middle = chunk(b"tRNS", struct.pack(">3H", *key)) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("bit_depth", "colours", "key", "shown"),
    [
        (8, [(1, 2, 3), (1, 2, 4)], (1, 2, 3), [[255] * 3, [1, 2, 4]]),
        (16, [(0x0102, 0x0304, 0x0506), (0x0102, 0x0304, 0x0507)], (0x0102, 0x0304, 0x0506), [[255] * 3, [1, 3, 5]]),
        (16, [(0x0200, 0x0400, 0x0600), (0x1000, 0, 0)], (0x0102, 0x0304, 0x0506), [[2, 4, 6], [16, 0, 0]]),
    ],
)
def test_the_transparent_colour_of_a_png_is_white_and_no_other(
    bit_depth: int, colours: list[tuple[int, int, int]], key: tuple[int, int, int], shown: list[list[int]]
) -> None:
    assert decode(colour_png(bit_depth, colours, key), COLOR)[0, 0].tolist() == shown


def test_transparent_entries_of_a_palette_are_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    found = decode(encode(image, transparency=bytes([255, 0, 255])), COLOR)
    assert found[0, 0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
