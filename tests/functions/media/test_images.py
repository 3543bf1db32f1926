import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError
from onnxlet.media.image_headers import sniff
from onnxlet.media.images import encode_png
from tests.helpers.image_files import COLOR, GREY, NOISE, PIXELS, decode, encode, exif, fix_checksums


def test_grey_pixels_come_row_by_row() -> None:
    assert decode(encode(Image.fromarray(PIXELS))).tolist() == PIXELS[None, :, :, None].tolist()


def test_colors_come_in_the_order_red_green_blue() -> None:
    image = Image.new("RGB", (1, 1), (1, 2, 3))
    assert decode(encode(image), COLOR).tolist() == [[[[1, 2, 3]]]]


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


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_is_known_by_its_first_bytes(file_format: str) -> None:
    assert sniff(encode(NOISE, file_format)) == f"image/{file_format.lower()}"


@pytest.mark.parametrize("data", [b"", b"RIFF1234WAVE", b"GIF89a", b"\x89PNG"])
def test_anything_else_is_not_taken_for_an_image(data: bytes) -> None:
    assert sniff(data) is None


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


PEAK = """
import io, sys
from pathlib import Path
from PIL import Image
from onnxlet.limits import memory
from onnxlet.media import image_headers, images
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
        ("GIF", {}, "P"),
        ("GIF", {"transparency": 0}, "P"),
        ("BMP", {}, "RGB"),
        ("BMP", {}, "L"),
        ("TIFF", {}, "RGB"),
        ("TIFF", {"compression": "tiff_lzw"}, "RGB"),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, "CMYK"),
        ("TIFF", {"compression": "packbits"}, "I;16"),
        ("TIFF", {}, "1"),
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
