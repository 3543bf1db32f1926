import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlet.errors import OnnxletError, TooLargeError, UnreadablePayloadError
from tests.helpers.image_files import COLOR, NOISE, PIXELS, STORED, decode, encode

TIFF = "image/tiff"
COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
COMPRESSIONS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]


def fields(data: bytes) -> dict[int, int]:
    """Return the position of each field of a little-endian TIFF's first page."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    return {struct.unpack_from("<H", data, start + 2 + 12 * index)[0]: start + 2 + 12 * index for index in range(count)}


def changed(data: bytes, tag: int, value: int, *, kind: int = 4, count: int = 1) -> bytes:
    """Return a TIFF with another number in a field."""
    position = fields(data)[tag]
    return data[:position] + struct.pack("<HHII", tag, kind, count, value) + data[position + 12 :]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "L", "LA", "P", "1"])
def test_pixels_of_any_form_are_kept(mode: str, compression: str) -> None:
    image = COLOURS.convert(mode)
    found = decode(encode(image, "TIFF", compression=compression), COLOR, TIFF)
    assert found[0].tolist() == np.asarray(image.convert("RGB")).tolist()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_greys_of_16_bits_keep_their_upper_8(compression: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 65_536, (5, 7), np.uint16)
    data = encode(Image.fromarray(pixels), "TIFF", compression=compression)
    assert decode(data, media_type=TIFF)[0, :, :, 0].tolist() == (pixels >> 8).tolist()


def test_a_big_endian_file_is_read() -> None:
    pixels = np.random.default_rng(0).integers(0, 65_536, (5, 7)).astype(">u2")
    values = {256: 7, 257: 5, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 5, 279: 70}
    directory = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in values.items())
    data = b"MM\0*" + struct.pack(">I", 78) + pixels.tobytes() + struct.pack(">H", 9) + directory + bytes(4)
    assert decode(data, media_type=TIFF)[0, :, :, 0].tolist() == (pixels >> 8).tolist()


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_upright(orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
    data = encode(stored, "TIFF", tiffinfo={274: orientation})
    assert decode(data, media_type=TIFF)[0, :, :, 0].tolist() == PIXELS.tolist()


def test_the_first_page_is_the_picture() -> None:
    data = encode(NOISE, "TIFF", save_all=True, append_images=[Image.new("L", (5000, 1))])
    assert decode(data, media_type=TIFF)[0, :, :, 0].tolist() == np.array(NOISE).tolist()


def test_a_page_of_many_strips_is_read() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 70, 3), np.uint8))
    data = encode(image, "TIFF", compression="tiff_lzw", strip_size=1000)
    assert decode(data, COLOR, TIFF)[0].tolist() == np.asarray(image).tolist()


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        (259, 7, "another compression"),
        (259, 50_000, "another compression"),
        (262, 6, "other colours"),
        (258, 32, "samples of another size"),
        (277, 5, "samples of different sizes"),
        (262, 3, "a palette of another size"),
        (284, 2, "planes or bits in another order"),
    ],
)
def test_another_form_is_refused_with_its_reason(tag: int, value: int, words: str) -> None:
    data = encode(COLOURS if tag == 277 else NOISE, "TIFF")
    with pytest.raises(UnreadablePayloadError, match=f"the image/tiff has {words}: expected strips of grey"):
        decode(changed(data, tag, value), media_type=TIFF)


def test_real_numbers_and_tiles_are_refused() -> None:
    with pytest.raises(UnreadablePayloadError, match="samples that are not whole numbers"):
        decode(encode(Image.new("F", (4, 3)), "TIFF"), media_type=TIFF)
    data = encode(NOISE, "TIFF")
    position = fields(data)[273]
    tiled = data[:position] + struct.pack("<H", 324) + data[position + 2 :]
    with pytest.raises(UnreadablePayloadError, match="pixels in tiles, or no strips"):
        decode(tiled, media_type=TIFF)


@pytest.mark.parametrize(
    ("tag", "value", "count"),
    [
        (256, 0, 1),
        (257, 60_000, 1),
        (278, 0, 1),
        (273, 2**32 - 1, 1),
        (279, 2**31, 1),
        (273, 2**31, 50_000),
    ],
)
def test_a_page_that_its_file_cannot_have_is_damaged(tag: int, value: int, count: int) -> None:
    with pytest.raises(UnreadablePayloadError):
        decode(changed(encode(NOISE, "TIFF"), tag, value, count=count), media_type=TIFF)


def test_strips_that_share_bytes_are_damaged() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    data = encode(image, "TIFF", compression="tiff_lzw", strip_size=64)
    positions = fields(data)
    counts, starts = (struct.unpack_from("<HHII", data, positions[tag])[2:] for tag in (279, 273))
    assert counts[0] == starts[0] > 1
    shared = bytearray(data)
    for index in range(counts[0]):
        shared[starts[1] + 4 * index : starts[1] + 4 * index + 4] = struct.pack("<I", 8)
        shared[counts[1] + 4 * index : counts[1] + 4 * index + 4] = struct.pack("<I", len(data) - 8)
    with pytest.raises(UnreadablePayloadError):
        decode(bytes(shared), media_type=TIFF)


def test_too_many_pixels_fields_or_values_are_refused() -> None:
    data = encode(NOISE, "TIFF")
    for name, file in {
        "pixels": changed(changed(changed(data, 256, 60_000), 257, 60_000), 278, 60_000),
        "values": changed(data, 273, 8, count=70_000),
    }.items():
        with pytest.raises(TooLargeError, match=name):
            decode(file, media_type=TIFF)
    (start,) = struct.unpack_from("<I", data, 4)
    with pytest.raises(TooLargeError, match="fields"):
        decode(data[:start] + b"\xff\xff" + data[start + 2 :], media_type=TIFF)


def test_fields_that_do_not_describe_pixels_are_not_read() -> None:
    data = encode(NOISE, "TIFF", tiffinfo={270: "x" * 50, 305: "y" * 50})
    huge = changed(changed(data, 270, 0, kind=2, count=2**31), 305, 0, kind=7, count=2**31)
    assert decode(huge, media_type=TIFF)[0, :, :, 0].tolist() == np.array(NOISE).tolist()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("GIF", {}), ("BMP", {})],
    ids=str,
)
def test_a_damaged_file_is_an_image_or_an_error_of_ours(kind: str, options: dict[str, Any]) -> None:
    data = encode(COLOURS.convert("P") if kind == "GIF" else COLOURS, kind, **options)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for position in random.integers(4, len(data), 3):
            damaged[position] = random.integers(0, 256)
        try:
            decode(bytes(damaged), COLOR, f"image/{kind.lower()}")
        except OnnxletError:
            continue
