"""JSON bodies: read within bounds on what their values take in memory."""

import math
from typing import Any

import orjson

from onnxlet import memory
from onnxlet.errors import InvalidJsonError, TooLargeError
from onnxlet.limits import MAX_JSON_LISTS, MAX_JSON_OBJECTS, MAX_JSON_TEXTS, MAX_JSON_VALUES, MIN_COUNTED_BYTES

OBJECT_BYTES = {"values": 48, "texts": 88, "lists": 64, "objects": 250}
"""What each becomes: a Python object, its place in a list, and in the tensor that is made of it."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_json(body: bytes | memoryview) -> Any:
    """Read a body that is JSON, or JSON with the tokens NaN, Infinity and -Infinity, as Python's own writer has them.

    Raises:
        InvalidJsonError: it is not.
        TooLargeError: it would become more objects than memory has room for; they are counted before they are made.
    """
    if body[:3] == _BYTE_ORDER_MARK:
        body = body[3:]
    if len(body) >= MIN_COUNTED_BYTES:
        memory.take(_count_bytes(bytes(body)))
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = bytes(body)
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidJsonError("the body is not JSON: expected UTF-8, got UTF-16") from error
        if b"NaN" not in text and b"Infinity" not in text:
            raise InvalidJsonError(f"the body is not JSON: {error}") from error
    return _parse_with_tokens(text)


def _parse_with_tokens(body: bytes) -> Any:
    """Read JSON with the tokens that orjson refuses; all else is refused as orjson would."""
    import json  # few requests hold such a token

    try:
        document = json.loads(body.decode(), parse_float=_finite)
        orjson.dumps(document)  # refuses half a surrogate pair, and integers beyond 64 bits
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error
    return document


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number out of range: {text[:40]}")
    return value


def _count_bytes(body: bytes) -> int:
    """Return what JSON becomes, by the signs in it, or refuse it; those inside of its texts are counted, too."""
    found = {
        "values": (body.count(b","), MAX_JSON_VALUES),
        "texts": (body.count(b'"') // 2, MAX_JSON_TEXTS),
        "lists": (body.count(b"["), MAX_JSON_LISTS),
        "objects": (body.count(b"{"), MAX_JSON_OBJECTS),
    }
    for what, (count, at_most) in found.items():
        if count > at_most:
            raise TooLargeError(f"expected JSON of at most {at_most} {what}, got {count}: send binary data")
    return 3 * len(body) + sum(count * OBJECT_BYTES[what] for what, (count, _) in found.items())
