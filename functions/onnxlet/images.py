"""Images: encoded bytes to pixels and back, by Pillow; beside it `explain` alone imports it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from onnxlet.config import MAX_CHUNKS, MAX_IMAGE_TEXT_BYTES, MAX_PIXELS, MAX_SCANS
from onnxlet.contract.manifest import CHANNELS, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import TooLargeError, UnreadablePayloadError, UnsupportedMediaError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
"""Media types of images, with Pillow's name for each; Pillow tries no other format."""

STRIP_PIXELS = 1024 * 1024
"""Of an image that is made ready at a time: each step of it would copy the whole image, at four bytes for a pixel."""

_START_OF_SCAN = b"\xff\xda"
"""Of a JPEG, where it stands nowhere else but in small images inside of it: coded data have no such bytes."""


def prepare() -> None:
    """Import what decodes images, before the first of them arrives: a function that takes none never pays for it."""
    with suppress(UnsupportedMediaError):  # who sends an image will be told
        require_pillow()
        from PIL import Image, ImageOps, PngImagePlugin  # noqa: F401 - ImageOps: to have been imported is all

        PngImagePlugin.MAX_TEXT_MEMORY = MAX_IMAGE_TEXT_BYTES
        Image.preinit()


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
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if body.startswith(b"RIFF") and body[8:12] == b"WEBP" else None


def decode(body: bytes, media_type: str, declaration: ImagePreprocess) -> Tensor:
    """Decode an image to UINT8 (1, height, width, channels), upright and with the declared number of channels.

    What shows through a transparent image is white.

    Raises:
        UnsupportedMediaError: no image type that is taken here, or a function that was packaged without Pillow.
        UnreadablePayloadError: not an image of this type, or a damaged one.
        TooLargeError: more than `MAX_PIXELS`, or more parts than any image has.
    """
    require_pillow()
    prepare()
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    if media_type not in FORMATS:
        raise UnsupportedMediaError(f"expected {', '.join(FORMATS)}, got {media_type[:80] or 'no media type'}")
    if media_type == "image/webp":
        from PIL import WebPImagePlugin  # noqa: F401 - else Pillow imports all of its formats to find this one
    _check_parts(body, media_type)
    try:
        with Image.open(BytesIO(body), formats=[FORMATS[media_type]]) as image:
            _check_pixels(image)
            _turn_upright(image)
            pixels = _to_pixels(image, CHANNELS[declaration.channels])
            shape = (1, image.height, image.width, declaration.channels)
    except UnidentifiedImageError as error:
        raise UnreadablePayloadError(f"expected {media_type}, got {len(body)} bytes that are none") from error
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"the image is too large: {error}") from error
    except (TooLargeError, MemoryError):
        raise
    except Exception as error:  # what Pillow's decoders raise on damaged data has no common base but this
        raise UnreadablePayloadError(f"the {media_type} is damaged: {error}") from error
    return Tensor(DATATYPES["UINT8"], shape, memoryview(pixels))


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


def _check_parts(body: bytes, media_type: str) -> None:
    """Refuse what would take Pillow minutes, of which it counts nothing."""
    if media_type == "image/jpeg":
        scans = body.count(_START_OF_SCAN)
        if scans > MAX_SCANS:
            raise TooLargeError(f"the image has {scans} scans, expected at most {MAX_SCANS}")
    if media_type == "image/png":
        position = 8
        for _ in range(MAX_CHUNKS):
            if position >= len(body):
                return
            position += 12 + int.from_bytes(body[position : position + 4])  # its length, its name and a check sum
        raise TooLargeError(f"the image has more chunks than {MAX_CHUNKS}")


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise TooLargeError(
            f"the image has {image.width} x {image.height} pixels, expected at most {MAX_PIXELS} in all"
        )


def _turn_upright(image: Image.Image) -> None:
    """Turn the image as its camera was held."""
    from PIL import ImageOps

    # Pillow keeps what it has read. It would write the rest again too, and fail on what some cameras put there.
    image.getexif()
    for written_again in ("exif", "Raw profile type exif"):
        image.info.pop(written_again, None)
    ImageOps.exif_transpose(image, in_place=True)


def _to_pixels(image: Image.Image, mode: str) -> bytes | bytearray:
    """The bytes of all pixels; of a large image strip by strip."""
    rows = max(1, STRIP_PIXELS // image.width)
    if rows >= image.height:
        return _to_mode(image, mode)
    pixels = bytearray()
    for top in range(0, image.height, rows):
        pixels += _to_mode(image.crop((0, top, image.width, min(top + rows, image.height))), mode)
    return pixels


def _to_mode(image: Image.Image, mode: str) -> bytes:
    return _on_white(_to_eight_bits(image)).convert(mode).tobytes()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255; Pillow's own `convert` cuts off 16-bit greys instead of scaling them."""
    return image.point(lambda value: value * (1 / 256)) if image.mode.startswith("I;16") else image


def _on_white(image: Image.Image) -> Image.Image:
    """The image without its transparency."""
    if not image.has_transparency_data:
        return image
    from PIL import Image

    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
