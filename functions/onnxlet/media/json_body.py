"""JSON bodies, which are parsed only if their values fit into bounds on memory."""

import math
from typing import Any

import orjson

from onnxlet.errors import InvalidJsonError, TooLargeError
from onnxlet.limits import MAX_JSON_LISTS, MAX_JSON_OBJECTS, MAX_JSON_TEXTS, MAX_JSON_VALUES, MIN_COUNTED_BYTES, memory

OBJECT_BYTES = {"values": 48, "texts": 88, "lists": 64, "objects": 250}
"""The memory of each: a Python object, its place in a list, and its place in a tensor."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_json(body: bytes | memoryview) -> Any:
    """Parse JSON, also with the tokens NaN, Infinity and -Infinity, as Python's `json` writes them.

    Raises:
        InvalidJsonError: the body is not JSON.
        TooLargeError: the body has too many values for the memory; they are counted before they are parsed.
    """
    if body[:3] == _BYTE_ORDER_MARK:
        body = body[3:]
    if len(body) >= MIN_COUNTED_BYTES:
        memory.take(count_bytes(bytes(body)))
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
    """Parse JSON with the tokens that orjson refuses; refuse everything else that orjson refuses."""
    import json  # few requests contain such a token

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


def count_bytes(body: bytes) -> int:
    """Return the memory that a JSON body takes, estimated by its characters, including those inside of its texts.

    Raises:
        TooLargeError: the body has too many values of a kind.
    """
    counts = {
        "values": (body.count(b","), MAX_JSON_VALUES),
        "texts": (body.count(b'"') // 2, MAX_JSON_TEXTS),
        "lists": (body.count(b"["), MAX_JSON_LISTS),
        "objects": (body.count(b"{"), MAX_JSON_OBJECTS),
    }
    for what, (count, at_most) in counts.items():
        if count > at_most:
            raise TooLargeError(f"JSON body: expected at most {at_most} {what}, got {count}: send binary data")
    return 3 * len(body) + sum(count * OBJECT_BYTES[what] for what, (count, _) in counts.items())
