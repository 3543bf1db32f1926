import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_PIXELS, MAX_SIDE_PIXELS
from tests.helpers.image_files import (
    COLOR,
    NOISE,
    ORIENTATION,
    PIXELS,
    STORED,
    chunk,
    decode,
    encode,
    exif,
    fix_checksums,
    noise,
    with_chunk,
)


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
    with pytest.raises(UnreadablePayloadError, match=f"expected {media_type}, got .* bytes of another format"):
        decode(encode(Image.new("L", (4, 4)), file_format), media_type=media_type)


def test_the_largest_side_of_an_image_is_bounded() -> None:
    with pytest.raises(TooLargeError, match=f"{MAX_SIDE_PIXELS} on a side"):
        decode(claiming(MAX_SIDE_PIXELS + 1, 1))


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
