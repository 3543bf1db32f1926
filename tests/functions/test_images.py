import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxlet.config import MAX_PIXELS
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError, TooLargeError, UnreadablePayloadError
from onnxlet.images import decode as decode_image
from onnxlet.images import encode_png, sniff

GREY = ImagePreprocess(28, 28, 1)
COLOR = ImagePreprocess(28, 28, 3)
ORIENTATION, MAKER = 0x0112, 0x010F

PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
"""2 pixels high, 3 wide, each different."""


def encode(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(**entries: Any) -> Image.Exif:
    found = Image.Exif()
    for name, value in entries.items():
        found[{"orientation": ORIENTATION, "maker": MAKER}[name]] = value
    return found


def to_array(tensor: Tensor) -> "np.ndarray[Any, Any]":
    assert tensor.datatype.name == "UINT8"
    return np.frombuffer(tensor.buffer, np.uint8).reshape(tensor.shape)


def decode(data: bytes, declaration: ImagePreprocess = GREY, media_type: str = "image/png") -> "np.ndarray[Any, Any]":
    return to_array(decode_image(data, media_type, declaration))


def test_grey_pixels_come_row_by_row() -> None:
    assert decode(encode(Image.fromarray(PIXELS))).tolist() == PIXELS[None, :, :, None].tolist()


def test_colors_come_in_the_order_red_green_blue() -> None:
    image = Image.new("RGB", (1, 1), (1, 2, 3))
    assert decode(encode(image), COLOR).tolist() == [[[[1, 2, 3]]]]


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


# how a camera that was held so stores the upright pixels
STORED: dict[int, Callable[["np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_upright(orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
    data = encode(stored, exif=exif(orientation=orientation))
    assert decode(data)[0, :, :, 0].tolist() == PIXELS.tolist()


def test_an_orientation_that_does_not_exist_changes_nothing() -> None:
    data = encode(Image.fromarray(PIXELS), exif=exif(orientation=99))
    assert decode(data)[0, :, :, 0].tolist() == PIXELS.tolist()


@pytest.mark.parametrize(("tag", "name"), [(282, "XResolution"), (296, "ResolutionUnit")])
def test_what_a_camera_wrote_beside_the_orientation_does_not_matter(tag: int, name: str) -> None:
    # A number given as the text "72": Pillow reads it, and fails when it has to write it again.
    entries = [(ORIENTATION, 3, 1, struct.pack("<HH", 3, 0)), (tag, 2, 3, b"72\0\0")]
    directory = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    block = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    data = encode(Image.fromarray(PIXELS), exif=block)
    assert Image.open(io.BytesIO(data)).getexif()[tag] == "72", name
    assert decode(data)[0, :, :, 0].tolist() == np.rot90(PIXELS, 2).tolist()


def fix_checksums(png: bytes) -> bytes:
    """A changed PNG with the right checksum for each of its chunks, as far as there are whole ones."""
    fixed, position = bytearray(png[:8]), 8
    while position + 12 <= len(png):
        end = position + 8 + int.from_bytes(png[position : position + 4], "big")
        if end + 4 > len(png):
            break
        fixed += png[position:end] + struct.pack(">I", zlib.crc32(png[position + 4 : end]))
        position = end + 4
    return bytes(fixed + png[position:])


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is this large."""
    data = bytearray(encode(Image.new("L", (1, 1))))
    data[16:24] = struct.pack(">II", width, height)
    return fix_checksums(bytes(data))


@pytest.mark.parametrize("size", [(10_000, 6_000), (MAX_PIXELS + 1, 1), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_that_claims_too_many_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(TooLargeError, match="pixels"):
        decode(claiming(*size))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0), (5, 5)])
def test_an_image_that_is_not_of_the_size_that_it_claims_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadablePayloadError):
        decode(claiming(*size))


@pytest.mark.parametrize(("file_format", "media_type"), [("PNG", "image/jpeg"), ("GIF", "image/png")])
def test_another_format_than_the_stated_one_is_not_even_tried(file_format: str, media_type: str) -> None:
    with pytest.raises(UnreadablePayloadError, match=f"expected {media_type}, got .* bytes that are none"):
        decode(encode(Image.new("L", (4, 4)), file_format), media_type=media_type)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8))
SEEDS = [
    ("image/webp", encode(NOISE, "WEBP")),
    ("image/png", encode(NOISE, exif=exif(orientation=6, maker="maker"))),
    ("image/png", encode(NOISE.convert("P"), transparency=3)),
    ("image/jpeg", encode(NOISE, "JPEG", exif=exif(orientation=6, maker="maker"))),
    ("image/jpeg", encode(NOISE.convert("CMYK"), "JPEG", progressive=True)),
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=6),
)
def test_a_damaged_image_is_read_or_refused_but_never_crashes(
    seed: tuple[str, bytes], changes: list[tuple[int, int, bytes]]
) -> None:
    media_type, original = seed
    data = bytearray(original)
    for position, removed, inserted in changes:
        data[position : position + removed] = inserted
    whole = fix_checksums(bytes(data)) if media_type == "image/png" else bytes(data)
    try:
        assert decode(whole, media_type=media_type).size
    except OnnxletError as error:
        assert error.status in {413, 422}


@pytest.mark.parametrize(
    ("file_format", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_an_image_is_known_by_its_first_bytes(file_format: str, media_type: str) -> None:
    assert sniff(encode(NOISE, file_format)) == media_type


@pytest.mark.parametrize("data", [b"", b"RIFF1234WAVE", b"GIF89a", b"\x89PNG"])
def test_anything_else_is_not_taken_for_an_image(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_what_shows_through_a_transparent_image_is_white(file_format: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    data = encode(image, file_format, lossless=True)
    assert decode(data, media_type=f"image/{file_format.lower()}")[0, 0, :, 0].tolist() == [255, 0]


def test_webp_is_decoded() -> None:
    assert (
        decode(encode(NOISE, "WEBP", lossless=True), media_type="image/webp")[0, :, :, 0].tolist()
        == np.array(NOISE).tolist()
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_become_png_files_and_come_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, channels), np.uint8)
    files = encode_png(Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes())))
    declaration = GREY if channels == 1 else COLOR
    assert [decode(file, declaration)[0].tolist() for file in files] == pixels.tolist()


def test_pillow_is_imported_for_images_alone() -> None:
    program = "import sys, onnxlet.payloads; assert 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None  # as in a package that was made without it
from onnxlet import images
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet.errors import UnsupportedMediaError
images.prepare()
try:
    images.decode(b"?", "image/png", ImagePreprocess(1, 1, 1))
except UnsupportedMediaError as error:
    print(error)
"""


def test_a_function_without_pillow_starts_and_says_so_to_who_sends_an_image() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PILLOW], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("this function was packaged without Pillow, which images need\n", "")
