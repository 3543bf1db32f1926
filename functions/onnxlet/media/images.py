"""Images: encoded bytes to pixels and back, with Pillow, which only this package and `explain` import."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet.contract.declarations import CHANNELS, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.limits import memory
from onnxlet.media import image_colours, image_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from onnxlet.media.image_headers import ImageFile

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
"""The supported media types with Pillow's names of the formats; Pillow tries no other format."""

STRIP_PIXELS = 256 * 1024
"""The pixels of a large image that are converted at a time: a conversion takes 4 bytes for each pixel."""

STRIP_BYTES = 32 * STRIP_PIXELS
"""The memory for one strip: up to six copies of it, and blocks that the C library has not returned yet."""

MAX_KEPT_PIXELS = 512 * 512
"""The pixels from which an image is resized here, if the model takes fewer; the preprocess graph resizes others.

A browser resizes these with the same graph.
"""

KEPT_BYTES = 40
"""The memory for each pixel of a preprocess graph's input: published graphs cast all pixels to FP32 first."""


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


def sniff(body: bytes) -> str | None:
    """Return the media type of an image by its first bytes; None for anything else."""
    if image_headers.is_png(body):
        return "image/png"
    if image_headers.is_jpeg(body):
        return "image/jpeg"
    return "image/webp" if image_headers.is_webp(body) else None


def decode(body: bytes, media_type: str, declaration: ImagePreprocess, *, is_whole: bool = False) -> Tensor:
    """Decode an image to UINT8 (1, height, width, channels), upright and with the declared number of channels.

    Transparent pixels become white. A large image is resized to the model's size, as Pillow's `BILINEAR` does it.

    Args:
        body: The file.
        media_type: The media type of the file.
        declaration: The size and the channels that the model takes.
        is_whole: Whether to keep all pixels of a large image, too.

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
    size = (file.width, file.height) if is_whole else _size(file, declaration)
    memory.count_pixels(file.pixels)
    with memory.taken(_decoding_bytes(file, len(body), size)):
        try:
            image = _read(file, media_type, CHANNELS[declaration.channels], size)
        except (OnnxletError, MemoryError):
            raise
        except Exception as error:  # Pillow's errors for damaged data have no other common base
            raise UnreadablePayloadError(f"the {media_type} is damaged: {error}") from error
    shape = (1, image.height, image.width, declaration.channels)
    return Tensor(DATATYPES["UINT8"], shape, memoryview(image.tobytes()))


def shrunk(pixels: Tensor, declaration: ImagePreprocess) -> Tensor:
    """Resize large images to the model's size, as `decode` does; without Pillow leave that to the preprocess graph.

    Args:
        pixels: UINT8 (batch, height, width, channels).
        declaration: The size and the channels that the model takes.
    """
    count, height, width, channels = pixels.shape
    size = declaration.width, declaration.height
    if not _is_shrunk(pixels, declaration):
        return pixels
    from PIL import Image

    mode, size_bytes = CHANNELS[channels], height * width * channels
    made = bytearray()
    for index in range(count):
        data = bytes(pixels.buffer[index * size_bytes : (index + 1) * size_bytes])
        image = Image.frombytes(mode, (width, height), data)
        made += _shrunk(image, lambda strip: strip, mode, size, is_turned=False).tobytes()
    return Tensor(pixels.datatype, (count, size[1], size[0], channels), memoryview(made))


def resizing_bytes(pixels: Tensor, declaration: ImagePreprocess) -> int:
    """Return the memory that `shrunk` and the preprocess graph take for images, without the images themselves."""
    count, height, width, channels = pixels.shape
    if not _is_shrunk(pixels, declaration):
        return KEPT_BYTES * count * height * width
    one = (channels + 2 * image_headers.PIXEL_BYTES) * height * width + STRIP_BYTES
    return one + KEPT_BYTES * count * declaration.height * declaration.width


def _is_shrunk(pixels: Tensor, declaration: ImagePreprocess) -> bool:
    _, height, width, _ = pixels.shape
    if height * width <= max(MAX_KEPT_PIXELS, declaration.height * declaration.width):
        return False
    try:
        require_pillow()
    except UnsupportedMediaError:
        return False
    return True


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


def _size(file: ImageFile, declaration: ImagePreprocess) -> tuple[int, int]:
    """Return the width and height that an image is resized to, before it is turned upright."""
    if file.pixels <= max(MAX_KEPT_PIXELS, declaration.width * declaration.height):
        return file.width, file.height
    size = declaration.width, declaration.height
    return size if file.orientation < 5 else size[::-1]


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


def _read(file: ImageFile, media_type: str, mode: str, size: tuple[int, int]) -> Image.Image:
    """Decode a file to an upright image of a mode; `size` is its width and height before it is turned."""
    from io import BytesIO

    from PIL import Image

    if media_type == "image/webp":
        from PIL import WebPImagePlugin  # noqa: F401 - otherwise Pillow imports all its formats to find this one
    Image.MAX_IMAGE_PIXELS = None  # `image_headers.parse` has checked the size
    with Image.open(BytesIO(b"".join(file.parts)), formats=[FORMATS[media_type]]) as image:
        if image.size != (file.width, file.height):
            raise UnreadablePayloadError(f"the {media_type} is damaged: it states two different sizes")
        image.load()
        if file.bit_depth == 16 and image.mode == "RGB" and "transparency" in image.info:
            image_colours.key_on_white(image, b"".join(file.parts))
        to_mode = image_colours.converter(image, file.bit_depth, mode)
        return _turned(_shrunk(image, to_mode, mode, size, is_turned=file.orientation >= 5), file.orientation)


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


def _shrunk(
    image: Image.Image,
    to_mode: Callable[[Image.Image], Image.Image],
    mode: str,
    size: tuple[int, int],
    *,
    is_turned: bool,
) -> Image.Image:
    """Convert an image strip by strip, and resize it as Pillow resizes a whole image: along one axis, then the other.

    The axis that shrinks more comes first, which makes the smaller intermediate image; if both shrink alike, the width
    of the upright image comes first. Pillow mostly chooses the same; otherwise a pixel may differ by 1 of 255, because
    Pillow rounds after each axis.
    """
    from PIL import Image
    from PIL.Image import Resampling

    (width, height), (to_width, to_height) = image.size, size
    by_width = width * to_height > height * to_width or (width * to_height == height * to_width and not is_turned)
    made = Image.new(mode, (to_width, height) if by_width else (width, to_height))
    thickness = max(1, STRIP_PIXELS // (width if by_width else height))
    for start in range(0, height if by_width else width, thickness):
        if by_width:
            strip = to_mode(image.crop((0, start, width, min(start + thickness, height))))
            made.paste(strip.resize((to_width, strip.height), Resampling.BILINEAR), (0, start))
        else:
            strip = to_mode(image.crop((start, 0, min(start + thickness, width), height)))
            made.paste(strip.resize((strip.width, to_height), Resampling.BILINEAR), (start, 0))
    return made.resize(size, Resampling.BILINEAR)
