"""Image files for tests: pictures, files with chunks of every kind, and files that claim a size."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tensors import Tensor
from onnxlet.media.images import decode as decode_image

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
    return to_array(decode_image(data, media_type, declaration)[0])


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


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8))


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Chance, black and white: nothing shows an error of resizing more."""
    random = np.random.default_rng(width * height)
    bands = [Image.fromarray(random.choice([0, 255], (height, width)).astype(np.uint8)) for _ in range(len(mode))]
    return bands[0] if mode == "L" else Image.merge(mode, bands)


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
