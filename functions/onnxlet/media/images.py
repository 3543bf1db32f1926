"""Images: encoded bytes to pixels and back, with Pillow, which only this package and `explain` import."""

from __future__ import annotations

import math
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from onnxlet.contract.declarations import CHANNELS, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.limits import memory
from onnxlet.media import image_colours, image_headers
from onnxlet.media.image_headers import FORMATS
from onnxlet.media.image_headers.image_file import PIXEL_BYTES
from onnxlet.media.image_resizing import KEPT_BYTES, STRIP_BYTES, Resizing

if TYPE_CHECKING:
    from PIL import Image

    from onnxlet.media.image_headers.image_file import ImageFile

LATE_PLUGINS = {"image/webp": "PIL.WebPImagePlugin", "image/tiff": "PIL.TiffImagePlugin"}
"""Modules of Pillow for formats that it does not know at first: to find them it would import all its formats."""


def prepare() -> None:
    """Import Pillow before the first image arrives. Functions without models for images do not call this."""
    with suppress(UnsupportedMediaError):  # the first image raises it again
        require_pillow()
        from PIL import Image

        Image.preinit()
        memory.return_large_blocks()


def require_pillow() -> None:
    """Raise UnsupportedMediaError if this function was packaged without Pillow."""
    try:
        import PIL  # noqa: F401 - checks that it is installed
    except ImportError as error:
        raise UnsupportedMediaError("this function was packaged without Pillow, which images need") from error


def decode(
    body: bytes, media_type: str, declaration: ImagePreprocess, *, is_whole: bool = False
) -> tuple[Tensor, tuple[int, int]]:
    """Decode an image, upright and with the declared number of channels.

    Transparent pixels become white. A large image is resized to the size that the preprocess graph would give it.

    Args:
        body: The file.
        media_type: The media type of the file.
        declaration: The size and the channels that the model takes.
        is_whole: Whether to keep all pixels of a large image, too.

    Returns:
        The pixels, UINT8 (1, height, width, channels), and the image's own height and width.

    Raises:
        UnsupportedMediaError: the media type is not supported, or this function was packaged without Pillow.
        UnreadablePayloadError: the file is not an image of this type, or is damaged.
        TooLargeError: the image has more than `MAX_PIXELS`, more parts than a real image, or takes too much memory.
    """
    require_pillow()
    prepare()
    if media_type not in FORMATS:
        raise UnsupportedMediaError(f"expected {', '.join(FORMATS)}, got {media_type[:80] or 'no media type'}")
    file = image_headers.parse(body, media_type)
    is_turned = file.orientation >= 5
    own = (file.height, file.width) if is_turned else (file.width, file.height)
    resizing = Resizing.of(declaration, own)
    if is_whole or resizing is None:
        resizing = Resizing(own)
    memory.count_pixels(file.pixels)
    with memory.taken(_decoding_bytes(file, len(body), resizing.size)):
        try:
            image = _read(file, media_type, CHANNELS[declaration.channels], resizing)
        except (OnnxletError, MemoryError):
            raise
        except Exception as error:  # Pillow's errors for damaged data have no other common base
            raise UnreadablePayloadError(f"the {media_type} is damaged: {error}") from error
    shape = (1, image.height, image.width, declaration.channels)
    return Tensor(DATATYPES["UINT8"], shape, memoryview(image.tobytes())), own[::-1]


def shrunk(pixels: Tensor, declaration: ImagePreprocess) -> Tensor:
    """Resize large images as `decode` does; without Pillow leave that to the preprocess graph.

    Args:
        pixels: UINT8 (batch, height, width, channels).
        declaration: The size and the channels that the model takes.
    """
    resizing = _resizing(pixels, declaration)
    if resizing is None:
        return pixels
    from PIL import Image

    count, height, width, channels = pixels.shape
    mode, size_bytes = CHANNELS[channels], height * width * channels
    made = bytearray()
    for index in range(count):
        data = bytes(pixels.buffer[index * size_bytes : (index + 1) * size_bytes])
        image = Image.frombytes(mode, (width, height), data)
        made += resizing.apply(image, lambda strip: strip, mode, is_turned=False).tobytes()
    return Tensor(pixels.datatype, (count, *resizing.size[::-1], channels), memoryview(made))


def resizing_bytes(pixels: Tensor, declaration: ImagePreprocess) -> int:
    """Return the memory that `shrunk` and the preprocess graph take for images, without the images themselves."""
    resizing = _resizing(pixels, declaration)
    if resizing is None:
        return graph_bytes(pixels, declaration)
    count, height, width, channels = pixels.shape
    one = (channels + 2 * PIXEL_BYTES) * height * width + STRIP_BYTES
    return one + KEPT_BYTES * count * math.prod(resizing.size)


def graph_bytes(pixels: Tensor, declaration: ImagePreprocess) -> int:
    """Return the memory that the preprocess graph takes for images, without the images and the model's input."""
    count, height, width, _ = pixels.shape
    resized = math.prod(declaration.resized(max(1, width), max(1, height)))
    return KEPT_BYTES * count * (height * width + resized * (declaration.fit == "crop"))


def _resizing(pixels: Tensor, declaration: ImagePreprocess) -> Resizing | None:
    """Return how images are resized before the preprocess graph; None for small images, or without Pillow."""
    _, height, width, _ = pixels.shape
    try:
        require_pillow()
    except UnsupportedMediaError:
        return None
    return Resizing.of(declaration, (width, height))


def encode_png(images: Tensor) -> list[bytes]:
    """Return decoded images as PNG files.

    Args:
        images: UINT8 (batch, height, width, channels), with 1 or 3 channels.

    Raises:
        UnsupportedMediaError: this function was packaged without Pillow.
    """
    require_pillow()
    from io import BytesIO

    from PIL import Image

    count, height, width, channels = images.shape
    size_bytes = height * width * channels
    files = []
    for index in range(count):
        pixels = images.buffer[index * size_bytes : (index + 1) * size_bytes]
        file = BytesIO()
        Image.frombytes(CHANNELS[channels], (width, height), bytes(pixels)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def _decoding_bytes(file: ImageFile, body_bytes: int, size: tuple[int, int]) -> int:
    """Return the most memory that decoding takes: the file, its pixels, a strip of them, and the resized image."""
    between = min(size[0] * file.height, file.width * size[1])
    return int(
        2 * body_bytes
        + file.pixel_bytes * file.pixels
        + min(STRIP_BYTES, 32 * file.pixels)
        + 4 * between
        + KEPT_BYTES * size[0] * size[1]
    )


def _read(file: ImageFile, media_type: str, mode: str, resizing: Resizing) -> Image.Image:
    """Decode a file to an upright image of a mode."""
    from io import BytesIO

    from PIL import Image

    if media_type in LATE_PLUGINS:
        import_module(LATE_PLUGINS[media_type])
    Image.MAX_IMAGE_PIXELS = None  # `image_headers.parse` has checked the size
    with Image.open(BytesIO(b"".join(file.parts)), formats=[FORMATS[media_type]]) as image:
        if image.size != (file.width, file.height):
            raise UnreadablePayloadError(f"the {media_type} is damaged: it states two different sizes")
        image.load()
        if file.bit_depth == 16 and image.mode == "RGB" and "transparency" in image.info:
            image_colours.key_on_white(image, b"".join(file.parts))
        to_mode = image_colours.converter(image, file.bit_depth, mode)
        return _turned(resizing.apply(image, to_mode, mode, is_turned=file.orientation >= 5), file.orientation)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright by its EXIF orientation."""
    from PIL.Image import Transpose

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)
