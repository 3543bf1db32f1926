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

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError, TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_PIXELS, MAX_SIDE_PIXELS
from onnxlet.media.images import decode as decode_image
from onnxlet.media.images import encode_png, shrunk, sniff

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
    program = "import sys, onnxlet.protocols.payloads; assert 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None  # as in a package that was made without it
from onnxlet.media import images
from onnxlet.contract.declarations import ImagePreprocess
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


# ---------------------------------------------------------------------- as Pillow resizes


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Chance, black and white: nothing shows an error of resizing more."""
    random = np.random.default_rng(width * height)
    bands = [Image.fromarray(random.choice([0, 255], (height, width)).astype(np.uint8)) for _ in range(len(mode))]
    return bands[0] if mode == "L" else Image.merge(mode, bands)


SHAPES = [(800, 600), (600, 800), (3001, 97), (97, 3001), (5, 60_000), (60_000, 5), (513, 512), (9, 30_000)]
TARGETS = [(28, 28), (224, 224), (5, 64), (64, 5), (1, 1)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_image_is_resized_as_pillow_does_it(
    shape: tuple[int, int], target: tuple[int, int], channels: int
) -> None:
    image = noise(*shape, "L" if channels == 1 else "RGB")
    width, height = target
    found = decode(encode(image, compress_level=1), ImagePreprocess(height, width, channels)).astype(int)
    wanted = np.asarray(image.resize(target, Image.Resampling.BILINEAR)).reshape(1, height, width, channels)
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("shape", [(800, 600), (9, 40_000), (40_000, 9)])
def test_a_large_image_is_resized_as_if_it_were_turned_first(shape: tuple[int, int], orientation: int) -> None:
    upright = noise(*shape, "L")
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(upright))))
    found = decode(encode(stored, exif=exif(orientation=orientation)), ImagePreprocess(20, 30, 1))
    wanted = np.asarray(upright.resize((30, 20), Image.Resampling.BILINEAR))
    assert np.abs(found[0, :, :, 0].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_a_large_image_of_any_mode_comes_in_the_models_size(mode: str) -> None:
    file_format = "JPEG" if mode == "CMYK" else "PNG"
    data = encode(Image.new(mode, (700, 600)), file_format)
    assert decode(data, COLOR, f"image/{file_format.lower()}").shape == (1, 28, 28, 3)


def test_an_explanation_gets_all_pixels_of_a_large_image() -> None:
    image = noise(800, 600)
    found = decode_image(encode(image), "image/png", COLOR, is_whole=True)
    assert to_array(found)[0].tolist() == np.asarray(image).tolist()


def test_an_image_stays_as_it_is_where_the_model_takes_more_pixels() -> None:
    assert decode(encode(noise(800, 600)), ImagePreprocess(1024, 1024, 3)).shape == (1, 600, 800, 3)


@pytest.mark.parametrize("size", [(28, 28), (600, 800)])
def test_pixels_are_resized_as_an_image_of_them(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    found = to_array(shrunk(Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes())), COLOR))
    assert found.tolist() == [decode(encode(Image.fromarray(each)), COLOR)[0].tolist() for each in pixels]


def test_the_largest_side_of_an_image_is_bounded() -> None:
    with pytest.raises(TooLargeError, match=f"{MAX_SIDE_PIXELS} on a side"):
        decode(claiming(MAX_SIDE_PIXELS + 1, 1))


# ---------------------------------------------------------------------- what is said beside the picture


def chunk(kind: bytes, data: bytes, *, is_sound: bool = True) -> bytes:
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data) + (not is_sound) & 0xFFFFFFFF)
    )


def with_chunk(png: bytes, added: bytes, before: bytes = b"IDAT") -> bytes:
    """A PNG with one more chunk."""
    position = png.index(before) - 4
    return png[:position] + added + png[position:]


SIDE_CHUNKS = {
    "iCCP that is no profile": chunk(b"iCCP", b"name\0\0not deflate"),
    "iCCP that is empty": chunk(b"iCCP", b""),
    "iCCP of another method": chunk(b"iCCP", b"name\0\x09" + zlib.compress(b"profile")),
    "iCCP that inflates": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(64 * 2**20))),
    "zTXt that is no text": chunk(b"zTXt", b"key\0\0not deflate"),
    "zTXt of another method": chunk(b"zTXt", b"key\0\x07" + zlib.compress(b"text")),
    "zTXt that inflates": chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(64 * 2**20))),
    "iTXt that is no text": chunk(b"iTXt", b"key\0\1\0\0\0not deflate"),
    "iTXt that is not UTF-8": chunk(b"iTXt", b"key\0\0\0\0\0\xff\xfe"),
    "tEXt that is long": chunk(b"tEXt", b"key\0" + bytes(8 * 2**20)),
    "tEXt with a wrong check sum": chunk(b"tEXt", b"key\0text", is_sound=False),
    "gAMA that is short": chunk(b"gAMA", b"1"),
    "cHRM that is short": chunk(b"cHRM", b"12345"),
    "sRGB that is empty": chunk(b"sRGB", b""),
    "pHYs that is short": chunk(b"pHYs", b"12"),
    "tIME that is short": chunk(b"tIME", b""),
    "eXIf that is nothing": chunk(b"eXIf", b"garbage"),
    "eXIf of endless entries": chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"),
    "eXIf that points nowhere": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "eXIf with a wrong check sum": chunk(b"eXIf", b"II*\0", is_sound=False),
    "acTL of an animation that is none": chunk(b"acTL", b"123"),
    "fcTL that is empty": chunk(b"fcTL", b""),
    "a second header": chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)),
    "something private": chunk(b"prVt", b"?"),
}


@pytest.mark.parametrize("name", SIDE_CHUNKS)
def test_no_chunk_beside_the_picture_refuses_a_png(name: str) -> None:
    data = with_chunk(encode(NOISE), SIDE_CHUNKS[name])
    assert decode(data)[0, :, :, 0].tolist() == np.array(NOISE).tolist()


def test_a_png_whose_end_is_missing_is_read_where_its_pixels_are_whole() -> None:
    assert decode(encode(NOISE)[:-12])[0, :, :, 0].tolist() == np.array(NOISE).tolist()


@pytest.mark.parametrize(("file_format", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_bytes_after_the_end_change_nothing(file_format: str, media_type: str) -> None:
    data = encode(NOISE, file_format)
    assert decode(data + b"more" * 1000, media_type=media_type).tolist() == decode(data, media_type=media_type).tolist()


@pytest.mark.parametrize(("file_format", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_an_image_without_its_lower_half_is_refused(file_format: str, media_type: str) -> None:
    data = encode(noise(200, 200, "L"), file_format)
    with pytest.raises(UnreadablePayloadError, match="damaged"):
        decode(data[: len(data) // 2], media_type=media_type)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


SIDE_SEGMENTS = {
    "EXIF that is nothing": segment(0xE1, b"Exif\0\0garbage"),
    "EXIF that is empty": segment(0xE1, b"Exif\0\0"),
    "EXIF that points nowhere": segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "EXIF of endless entries": segment(
        0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1\2\0\2\xff\xff\xff\xff\0\0\0\0" * 5000
    ),
    "XMP that is no XML": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"),
    "ICC that is nothing": segment(0xE2, b"ICC_PROFILE\0"),
    "ICC without its other parts": segment(0xE2, b"ICC_PROFILE\0\x07\xff" + bytes(100)),
    "MPF that is nothing": segment(0xE2, b"MPF\0garbage"),
    "Photoshop that ends early": segment(0xED, b"Photoshop 3.0\x008BIM\x04"),
    "Photoshop that is wrong": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\xff\xff\xff\xff\xff\xff"),
    "JFIF that is short": segment(0xE0, b"JFIF\0"),
    "JFXX with half a thumbnail": segment(0xE0, b"JFXX\0\x10\xff\xd8\xff\xda"),
    "Adobe that is short": segment(0xEE, b"Adobe"),
    "a comment that is no text": segment(0xFE, b"\xff\xda\xff\xda" * 200),
    "an empty segment": segment(0xEC, b""),
    "bytes between": b"\0\0garbage",
}


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("name", SIDE_SEGMENTS)
def test_no_segment_beside_the_picture_refuses_a_jpeg(name: str, mode: str) -> None:
    data = encode(NOISE.convert(mode), "JPEG")
    position = data.index(b"\xff\xdb")  # the first table that decoding needs
    found = decode(data[:position] + SIDE_SEGMENTS[name] + data[position:], COLOR, "image/jpeg")
    assert found.tolist() == decode(data, COLOR, "image/jpeg").tolist()


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


SIDE_WEBP = {
    "ICC": (0x20, webp_chunk(b"ICCP", b"garbage"), b""),
    "EXIF": (0x08, b"", webp_chunk(b"EXIF", b"garbage")),
    "XMP": (0x04, b"", webp_chunk(b"XMP ", b"<")),
    "EXIF that ends early": (0x08, b"", webp_chunk(b"EXIF", bytes(100))[:50]),
    "EXIF that is missing": (0x08, b"", b""),
}


@pytest.mark.parametrize("name", SIDE_WEBP)
def test_no_chunk_beside_the_picture_refuses_a_webp(name: str) -> None:
    data = encode(NOISE, "WEBP", lossless=True)
    flags, before, after = SIDE_WEBP[name]
    size = b"".join((side - 1).to_bytes(3, "little") for side in NOISE.size)
    whole = riff(webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size), before, data[12:], after)
    assert decode(whole, media_type="image/webp")[0, :, :, 0].tolist() == np.array(NOISE).tolist()


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_and_a_webp_are_turned_upright(orientation: int) -> None:
    large = np.kron(PIXELS, np.ones((16, 16), np.uint8))  # as JPEG stores blocks exactly enough
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](large)))
    for kind in ("JPEG", "WEBP"):
        data = encode(stored, kind, exif=exif(orientation=orientation), quality=100)
        found = decode(data, media_type=f"image/{kind.lower()}")[0, :, :, 0].astype(int)
        assert found.shape == large.shape
        assert np.abs(found - large).max() < 12


# ---------------------------------------------------------------------- transparency by a chunk of its own


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


# ---------------------------------------------------------------------- memory

PEAK = """
import io, sys
from pathlib import Path
from PIL import Image
from onnxlet import memory
from onnxlet.media import image_files, images
from onnxlet.contract.declarations import ImagePreprocess

def peak_bytes():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

kind, options, mode, side = sys.argv[1], eval(sys.argv[2]), sys.argv[3], 4000
exif = Image.Exif()
exif[0x0112] = 6
file = io.BytesIO()
Image.new(mode, (side, side)).save(file, kind, exif=exif, **options)
data, media_type, declaration = file.getvalue(), f"image/{kind.lower()}", ImagePreprocess(224, 224, 3)
small = io.BytesIO()
Image.new(mode, (300, 300)).save(small, kind, **options)
images.decode(small.getvalue(), media_type, declaration)
del file, small
Path("/proc/self/clear_refs").write_text("5")
counted, before = [], peak_bytes()
with memory.Budget(10**12).share() as share:
    taken = share.taken
    share.taken = lambda size_bytes: (counted.append(size_bytes), taken(size_bytes))[1]
    images.decode(data, media_type, declaration)
print(counted[0], peak_bytes() - before)
"""


@pytest.mark.parametrize(
    ("kind", "options", "mode"),
    [
        ("PNG", {}, "RGB"),
        ("PNG", {}, "RGBA"),
        ("PNG", {"transparency": 0}, "P"),
        ("PNG", {}, "I;16"),
        ("PNG", {}, "LA"),
        ("PNG", {}, "1"),
        ("JPEG", {}, "RGB"),
        ("JPEG", {}, "L"),
        ("JPEG", {"progressive": True}, "RGB"),
        ("JPEG", {"progressive": True, "subsampling": 0}, "RGB"),
        ("JPEG", {"progressive": True}, "CMYK"),
        ("JPEG", {"progressive": True}, "L"),
        ("WEBP", {"lossless": True, "method": 0, "quality": 0}, "RGB"),
        ("WEBP", {"lossless": True, "method": 0, "quality": 0}, "RGBA"),
        ("WEBP", {"method": 0, "quality": 1}, "RGB"),
        ("WEBP", {"method": 0, "quality": 1}, "RGBA"),
    ],
)
def test_decoding_takes_no_more_memory_than_was_counted_before_it(
    kind: str, options: dict[str, Any], mode: str
) -> None:
    command = [sys.executable, "-c", PEAK, kind, repr(options), mode]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counted, taken = map(int, done.stdout.split())
    assert taken <= counted
