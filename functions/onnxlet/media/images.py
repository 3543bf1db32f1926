"""Images: encoded bytes to pixels and back, by Pillow; beside it `explain` alone imports it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet import memory
from onnxlet.contract.declarations import CHANNELS, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import OnnxletError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.media import image_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from onnxlet.media.image_files import ImageFile

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
"""Media types of images, with Pillow's name for each; Pillow tries no other format."""

STRIP_PIXELS = 256 * 1024
"""The pixels of a large image that are converted at a time: each step would copy the whole image, 4 bytes a pixel."""

STRIP_BYTES = 32 * STRIP_PIXELS
"""What the steps take for one strip: up to six copies of it, and what the C library has not returned yet."""

MAX_KEPT_PIXELS = 512 * 512
"""An image with more pixels than this, and than the model takes, is shrunk here; others by the preprocess graph,
as in a browser."""

KEPT_BYTES = 40
"""What one pixel that is kept takes until it is the model's input: published graphs cast all of them to FP32 first."""


def prepare() -> None:
    """Import what decodes images, before the first of them arrives: a function that takes none never pays for it."""
    with suppress(UnsupportedMediaError):  # who sends an image will be told
        require_pillow()
        from PIL import Image

        Image.preinit()
        memory.return_large_blocks()


def require_pillow() -> None:
    """Refuse images where nothing can read them.

    Raises:
        UnsupportedMediaError: a function that was packaged without Pillow.
    """
    try:
        import PIL  # noqa: F401 - whether it is there is all
    except ImportError as error:
        raise UnsupportedMediaError("this function was packaged without Pillow, which images need") from error


def sniff(body: bytes) -> str | None:
    """The media type of an image by its first bytes; None for anything else."""
    if image_files.is_png(body):
        return "image/png"
    if image_files.is_jpeg(body):
        return "image/jpeg"
    return "image/webp" if image_files.is_webp(body) else None


def decode(body: bytes, media_type: str, declaration: ImagePreprocess, *, is_whole: bool = False) -> Tensor:
    """Decode an image to UINT8 (1, height, width, channels), upright and with the declared number of channels.

    What shows through a transparent image is white. A large image comes in the size that the model takes, resized as
    Pillow does it (`BILINEAR`).

    Args:
        body: The file.
        media_type: What it is.
        declaration: What the model takes.
        is_whole: Keep all pixels of a large image, too.

    Raises:
        UnsupportedMediaError: no image type that is taken here, or a function that was packaged without Pillow.
        UnreadablePayloadError: not an image of this type, or a damaged one.
        TooLargeError: more than `MAX_PIXELS`, more parts than any image has, or more than fits into the memory.
    """
    require_pillow()
    prepare()
    if media_type not in FORMATS:
        raise UnsupportedMediaError(f"expected {', '.join(FORMATS)}, got {media_type[:80] or 'no media type'}")
    file = image_files.parse(body, media_type)
    size = (file.width, file.height) if is_whole else _size(file, declaration)
    memory.count_pixels(file.pixels)
    with memory.taken(_decoding_bytes(file, len(body), size)):
        try:
            image = _read(file, media_type, CHANNELS[declaration.channels], size)
        except (OnnxletError, MemoryError):
            raise
        except Exception as error:  # what Pillow's decoders raise on damaged data has no common base but this
            raise UnreadablePayloadError(f"the {media_type} is damaged: {error}") from error
    shape = (1, image.height, image.width, declaration.channels)
    return Tensor(DATATYPES["UINT8"], shape, memoryview(image.tobytes()))


def shrunk(pixels: Tensor, declaration: ImagePreprocess) -> Tensor:
    """Resize large images to what the model takes, as `decode` does it; where there is no Pillow the graph will.

    Args:
        pixels: UINT8 (batch, height, width, channels).
        declaration: What the model takes.
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
    """Return what `shrunk` and the preprocess graph take for such images, beside the images themselves."""
    count, height, width, channels = pixels.shape
    if not _is_shrunk(pixels, declaration):
        return KEPT_BYTES * count * height * width
    one = (channels + 2 * image_files.PIXEL_BYTES) * height * width + STRIP_BYTES
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
    """PNG files of decoded images.

    Args:
        images: UINT8 (batch, height, width, channels), with 1 or 3 channels.

    Raises:
        UnsupportedMediaError: a function that was packaged without Pillow.
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
    """Return the width and height in which an image is kept, as stored."""
    if file.pixels <= max(MAX_KEPT_PIXELS, declaration.width * declaration.height):
        return file.width, file.height
    size = declaration.width, declaration.height
    return size if file.orientation < 5 else size[::-1]


def _decoding_bytes(file: ImageFile, body_bytes: int, size: tuple[int, int]) -> int:
    """Return what decoding takes at most: the copied file, its pixels, a strip of them, and what is kept."""
    between = min(size[0] * file.height, file.width * size[1])
    return int(
        2 * body_bytes
        + file.pixel_bytes * file.pixels
        + min(STRIP_BYTES, 32 * file.pixels)
        + 4 * between
        + KEPT_BYTES * size[0] * size[1]
    )


def _read(file: ImageFile, media_type: str, mode: str, size: tuple[int, int]) -> Image.Image:
    """Decode a file to an upright image of a mode, `size` as it is stored."""
    from io import BytesIO

    from PIL import Image

    if media_type == "image/webp":
        from PIL import WebPImagePlugin  # noqa: F401 - else Pillow imports all of its formats to find this one
    Image.MAX_IMAGE_PIXELS = None  # its size is known, and within our own bound
    with Image.open(BytesIO(b"".join(file.parts)), formats=[FORMATS[media_type]]) as image:
        if image.size != (file.width, file.height):
            raise UnreadablePayloadError(f"the {media_type} is damaged: it states two sizes")
        image.load()
        if file.bit_depth == 16 and image.mode == "RGB" and "transparency" in image.info:
            _key_on_white(image, file)
        to_mode = _converter(image, file.bit_depth, mode)
        return _turned(_shrunk(image, to_mode, mode, size, is_turned=file.orientation >= 5), file.orientation)


def _key_on_white(image: Image.Image, file: ImageFile) -> None:
    """Make the transparent one of 16-bit colours white, of which Pillow keeps the upper 8 bits alone."""
    from io import BytesIO

    from PIL import Image, ImageChops

    key = image.info.pop("transparency")
    with Image.open(BytesIO(b"".join(file.parts)), formats=["PNG"]) as lower:
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]  # as if the second byte were the upper
        bands = (*image.split(), *lower.split())
    values = [value >> 8 for value in key] + [value & 255 for value in key]
    is_key = Image.new("L", image.size, 255)
    for band, value in zip(bands, values, strict=True):
        is_key = ImageChops.darker(is_key, band.point([255 * (each == value) for each in range(256)]))
    image.paste("white", mask=is_key)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image as its camera was held."""
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
    """Convert an image strip by strip, and resize it as Pillow would resize the whole: along one axis, then the other.

    The axis that shrinks most comes first, which makes the least in between; where both shrink alike, the width of the
    upright image does. Pillow chooses much the same: else a pixel may be 1 of 255 off, as it rounds after either step.
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


def _converter(image: Image.Image, bit_depth: int, mode: str) -> Callable[[Image.Image], Image.Image]:
    """Return what makes a strip of an image one of a mode: 8 bits, and white where it is transparent."""
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        # Pillow's own `convert` cuts 16-bit greys off. The upper 8 bits are what Pillow keeps of 16-bit colours, too.
        table = _on_white([value >> 8 for value in range(65536)], key)
        return lambda strip: strip.convert("I").point(table, "L").convert(mode)
    if image.mode in {"1", "L"} and key is not None:
        # Pillow spreads 1, 2 and 4 bits over 0 to 255, and leaves the transparent value as it is.
        table = _on_white(list(range(256)), key * 255 // ((1 << bit_depth) - 1))
        return lambda strip: strip.convert("L").point(table).convert(mode)
    if image.has_transparency_data:
        return lambda strip: _composed(strip).convert(mode)
    return lambda strip: strip.convert(mode)


def _on_white(table: list[int], key: int | None) -> list[int]:
    """Return a table of greys in which the transparent one is white."""
    if key is not None and key < len(table):
        table[key] = 255
    return table


def _composed(image: Image.Image) -> Image.Image:
    """Return the image on white, without its transparency."""
    from PIL import Image

    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
