import struct

import numpy as np
import pytest
from PIL import Image

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from tests.helpers.image_files import COLOR, NOISE, decode, encode

BMP = "image/bmp"
COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_pixels_of_any_depth_are_kept(mode: str) -> None:
    image = COLOURS.convert(mode)
    assert decode(encode(image, "BMP"), COLOR, BMP)[0].tolist() == np.asarray(image.convert("RGB")).tolist()


def test_rows_may_begin_at_the_top() -> None:
    data = encode(NOISE, "BMP")
    flipped = data[:22] + struct.pack("<i", -NOISE.height) + data[26:]
    assert decode(flipped, media_type=BMP)[0, ::-1, :, 0].tolist() == np.array(NOISE).tolist()


def test_the_old_header_is_read() -> None:
    head = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 2, 1, 1, 24)
    assert decode(head + bytes([0, 0, 255, 255, 0, 0, 0, 0]), COLOR, BMP)[0].tolist() == [[[255, 0, 0], [0, 0, 255]]]


@pytest.mark.parametrize("compression", [1, 2, 4, 5, 6])
def test_compressed_pixels_are_refused(compression: int) -> None:
    data = encode(NOISE, "BMP")
    with pytest.raises(UnreadablePayloadError, match=f"8 bits and the compression {compression}, expected an uncomp"):
        decode(data[:30] + struct.pack("<I", compression) + data[34:], media_type=BMP)


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 1), (-4, 4), (4, 0), (300, 300)])
def test_a_size_that_the_file_cannot_have_is_refused(size: tuple[int, int]) -> None:
    data = encode(Image.new("L", (9, 9)), "BMP")
    with pytest.raises(UnreadablePayloadError):
        decode(data[:18] + struct.pack("<ii", *size) + data[26:], media_type=BMP)


def test_too_many_pixels_are_refused() -> None:
    data = encode(Image.new("1", (20_000, 3_000)), "BMP")
    with pytest.raises(TooLargeError, match="pixels"):
        decode(data, media_type=BMP)


def test_a_truncated_file_is_damaged() -> None:
    data = encode(NOISE, "BMP")
    for end in (20, 33, 60, len(data) - 1):
        with pytest.raises(UnreadablePayloadError):
            decode(data[:end], media_type=BMP)
