import struct

import numpy as np
import pytest
from PIL import Image

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from tests.helpers.image_files import COLOR, NOISE, decode, encode

GIF = "image/gif"


def two_frames() -> bytes:
    first, second = Image.new("RGB", (6, 4), "red"), Image.new("RGB", (6, 4), "blue")
    return encode(first, "GIF", save_all=True, append_images=[second], duration=100, loop=0, comment=b"why" * 200)


def screen(data: bytes, width: int, height: int) -> bytes:
    """Return a GIF that states another size of its screen."""
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def test_the_first_frame_is_the_picture() -> None:
    found = decode(two_frames(), COLOR, GIF)
    assert found.shape == (1, 4, 6, 3)
    assert found[0, 2, 2].tolist() == [255, 0, 0] == found[0, 0, 0].tolist()


def test_a_transparent_colour_becomes_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert decode(encode(image, "GIF", transparency=1), COLOR, GIF)[0, 0].tolist() == [
        [255, 0, 0],
        [255, 255, 255],
        [255, 0, 0],
    ]


def test_a_frame_lies_on_its_screen() -> None:
    data = screen(encode(Image.new("L", (4, 3), 9), "GIF"), 6, 5)
    assert decode(data, media_type=GIF).shape == (1, 5, 6, 1)
    smaller = screen(encode(Image.new("L", (4, 3), 9), "GIF"), 2, 1)
    assert decode(smaller, media_type=GIF).shape == (1, 3, 4, 1)  # Pillow enlarges the screen


@pytest.mark.parametrize("size", [(65_535, 65_535), (10_000, 6_000)])
def test_a_screen_or_a_frame_of_too_many_pixels_is_refused(size: tuple[int, int]) -> None:
    data = encode(Image.new("L", (4, 3)), "GIF")
    with pytest.raises(TooLargeError, match="pixels"):
        decode(screen(data, *size), media_type=GIF)
    start = data.index(b",\0\0\0\0\x04\0\x03\0")
    with pytest.raises(TooLargeError, match="pixels"):
        decode(data[: start + 5] + struct.pack("<HH", *size) + data[start + 9 :], media_type=GIF)


@pytest.mark.parametrize("end", [12, 13, 20, 200])
def test_a_gif_without_a_whole_frame_is_damaged(end: int) -> None:
    with pytest.raises(UnreadablePayloadError):
        decode(encode(NOISE, "GIF")[:end], media_type=GIF)


def test_blocks_that_never_end_are_damaged() -> None:
    head = encode(Image.new("L", (4, 3)), "GIF")[:13]
    for tail in (b"!\xfe" + b"\xff" * 1000, b"!\xfe\x01a\0" * 10, b"?" * 1000):
        with pytest.raises(UnreadablePayloadError):
            decode(head[:10] + b"\0\0\0" + tail, media_type=GIF)


def test_more_blocks_than_a_real_image_has_are_refused() -> None:
    head = encode(Image.new("L", (4, 3)), "GIF")[:10] + b"\0\0\0"
    for words, tail in {"blocks": b"!\xfe" + b"\x01a" * 70_000, "extensions": b"!\xfe\x01a\0" * 50_000}.items():
        with pytest.raises(TooLargeError, match=f"too many {words}"):
            decode(head + tail, media_type=GIF)


def test_greys_are_kept() -> None:
    assert decode(encode(NOISE, "GIF"), media_type=GIF)[0, :, :, 0].tolist() == np.array(NOISE).tolist()
