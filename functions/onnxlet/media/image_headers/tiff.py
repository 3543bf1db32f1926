"""The header of a TIFF, whose first page is the picture.

A TIFF is a small database: any of its fields may be as large as the file, may repeat, and may hold other images. So the
directory of the first page is written again with nothing but what describes its pixels.

Source: TIFF 6.0 (Adobe, 1992).
"""

from __future__ import annotations

from typing import Literal

from onnxlet.errors import TooLargeError, UnreadablePayloadError
from onnxlet.media.image_headers.image_file import PIXEL_BYTES, ImageFile

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANES = 273, 274, 277, 278, 279, 284
PREDICTOR, PALETTE, EXTRA, FORMAT = 317, 320, 338, 339
KEPT = (
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, COUNTS, PLANES),
    *(PREDICTOR, PALETTE, EXTRA, FORMAT),
)
"""The fields that describe the pixels, in the order in which a directory has them."""

TYPE_BYTES = {1: 1, 3: 2, 4: 4}
"""The size of a value by its type: BYTE, SHORT and LONG."""

MAX_FIELDS = 1024
"""The fields of a page; real ones have about 30."""

MAX_VALUES = 65_536
"""The values of a field: a strip has at least one row."""

COMPRESSIONS = frozenset({1, 5, 8, 32_773, 32_946})
"""The compressions that are served: none, LZW, Deflate (two numbers) and PackBits."""

GREYS, COLOURS = (0, 1), (2, 3, 5)
"""White or black is zero; RGB, a palette and CMYK."""

Order = Literal["little", "big"]


def read(body: bytes) -> ImageFile | None:
    """Read the first directory of a TIFF; return None if it is damaged.

    Raises:
        UnreadablePayloadError: the pixels have a form that is not served.
        TooLargeError: the directory has too many fields or values.
    """
    order: Order = "little" if body.startswith(b"II") else "big"
    fields = _fields(body, order)
    width, height = _first(body, order, fields, WIDTH, 0), _first(body, order, fields, HEIGHT, 0)
    if width < 1 or height < 1:
        return None
    bits = _values(body, order, fields, BITS, (1,))
    samples = _first(body, order, fields, SAMPLES, 1)
    _check_form(body, order, fields, bits, samples)
    rows = min(_first(body, order, fields, ROWS, height), height)
    starts, sizes = (_values(body, order, fields, field, ()) for field in (OFFSETS, COUNTS))
    strips = -(-height // rows) if rows > 0 else 0
    if not strips == len(starts) == len(sizes) or not _are_inside(starts, sizes, len(body)):
        return None
    raw_bytes = samples * bits[0] / 8
    pixel_bytes = (raw_bytes if samples == 1 and bits[0] >= 8 else 1 if samples == 1 else PIXEL_BYTES) + raw_bytes
    turned = _first(body, order, fields, ORIENTATION, 1)
    orientation = turned if 1 <= turned <= 8 else 1
    return ImageFile(_rewritten(body, order, fields), width, height, pixel_bytes, orientation)


def _fields(body: bytes, order: Order) -> dict[int, bytes]:
    """Return the fields of the first directory by their tag, each with its 12 bytes."""
    start = int.from_bytes(body[4:8], order)
    count = int.from_bytes(body[start : start + 2], order)
    if count > MAX_FIELDS:
        raise TooLargeError(f"the image/tiff has {count} fields, expected at most {MAX_FIELDS}")
    entries = [body[position : position + 12] for position in range(start + 2, start + 2 + 12 * count, 12)]
    return {int.from_bytes(entry[:2], order): entry for entry in entries if len(entry) == 12}


def _values(body: bytes, order: Order, fields: dict[int, bytes], tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of a field; the default if it is missing, and nothing if it is damaged."""
    entry = fields.get(tag)
    if entry is None:
        return default
    size = TYPE_BYTES.get(int.from_bytes(entry[2:4], order), 0)
    count = int.from_bytes(entry[4:8], order)
    if count > MAX_VALUES:
        raise TooLargeError(f"the image/tiff has a field of {count} values, expected at most {MAX_VALUES}")
    data = entry[8 : 8 + size * count]
    if size * count > 4:
        start = int.from_bytes(entry[8:12], order)
        data = body[start : start + size * count]
    if not size or len(data) < size * count:
        return ()
    return tuple(int.from_bytes(data[at : at + size], order) for at in range(0, size * count, size))


def _first(body: bytes, order: Order, fields: dict[int, bytes], tag: int, default: int) -> int:
    """Return the first number of a field; the default if it is missing, and -1 if it is damaged."""
    return next(iter(_values(body, order, fields, tag, (default,))), -1)


def _are_inside(starts: tuple[int, ...], sizes: tuple[int, ...], size_bytes: int) -> bool:
    """Return whether strips lie inside of a file and do not repeat its bytes: libtiff reads all bytes of each strip."""
    return sum(sizes) <= size_bytes and all(
        start + size <= size_bytes for start, size in zip(starts, sizes, strict=True)
    )


def _check_form(body: bytes, order: Order, fields: dict[int, bytes], bits: tuple[int, ...], samples: int) -> None:
    """Refuse pixels in a form that libtiff or Pillow would not decode right, or with memory of its own.

    Raises:
        UnreadablePayloadError: see above.
    """
    colours = _first(body, order, fields, PHOTOMETRIC, -1)
    problems = {
        "pixels in tiles, or no strips": OFFSETS not in fields,
        "another compression": _first(body, order, fields, COMPRESSION, 1) not in COMPRESSIONS,
        "other colours": colours not in (*GREYS, *COLOURS),
        "samples that are not whole numbers": set(_values(body, order, fields, FORMAT, (1,))) != {1},
        "samples of different sizes": len(set(bits)) != 1 or len(bits) != samples or samples > 4,
        "samples of another size": not bits or bits[0] not in {1, 2, 4, 8, 16} or (bits[0], colours) == (16, 0),
        "planes or bits in another order": (
            _first(body, order, fields, PLANES, 1) != 1 or _first(body, order, fields, FILL_ORDER, 1) != 1
        ),
        "a palette of another size": colours == 3 and _palette(body, order, fields) != 3 << min(bits or (0,)),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise UnreadablePayloadError(
                f"the image/tiff has {problem}: expected strips of grey, RGB, CMYK or a palette with 1 to 16 bits, "
                "uncompressed or by LZW, Deflate or PackBits; or send a PNG"
            )


def _palette(body: bytes, order: Order, fields: dict[int, bytes]) -> int:
    return len(_values(body, order, fields, PALETTE, ()))


def _rewritten(body: bytes, order: Order, fields: dict[int, bytes]) -> list[bytes | memoryview]:
    """Return the file with a new directory at its end, whose fields refer to the same places as before."""
    padding = bytes(len(body) % 2)
    kept = [fields[tag] for tag in KEPT if tag in fields]
    directory = len(kept).to_bytes(2, order) + b"".join(kept) + bytes(4)  # no further page
    position = (len(body) + len(padding)).to_bytes(4, order)
    return [body[:4], position, memoryview(body)[8:], padding, directory]
