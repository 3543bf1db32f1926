"""Canonical JSON: the one text that RFC 8785 gives a JSON value, so that every implementation hashes the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import orjson

from onnxlet.errors import ManifestError

MAX_INTEGER = 2**53
"""The largest integer that a reader of RFC 8785 keeps exactly."""


def canonical(content: object) -> bytes:
    """Return the canonical text of a JSON value, as RFC 8785 (JSON Canonicalization Scheme) defines it.

    Raises:
        ManifestError: the value is not JSON, is nested too deeply, or has an integer beyond 2^53.
    """
    try:
        return orjson.dumps(_canonical(content))
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise ManifestError(f"document: expected JSON that RFC 8785 allows, got {error}") from error


def _canonical(value: object) -> object:
    """Return a value that orjson writes canonically: names in the order of UTF-16, numbers as in ECMAScript."""
    if isinstance(value, dict):
        return {name: _canonical(value[name]) for name in _in_order(value)}
    if isinstance(value, list | tuple):
        return value if set(map(type, value)) == {str} else [_canonical(item) for item in value]
    if isinstance(value, float):
        return orjson.Fragment(_number(value))
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ManifestError(f"document: expected integers up to {MAX_INTEGER}, got {value!r:.80}")
    return value


def _in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of their UTF-16 code units, which Python's order is for ASCII."""
    ordered = sorted(names)
    if all(map(str.isascii, ordered)):
        return ordered
    return sorted(ordered, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _number(value: float) -> str:
    """Return a number as ECMAScript's `Number::toString` writes it, whose digits are those of Python's `repr`.

    Raises:
        ManifestError: the number is infinite or NaN.
    """
    if not math.isfinite(value):
        raise ManifestError(f"document: expected a finite number, got {value}")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    written = (whole + fraction).lstrip("0")
    point = len(whole) + int(power or 0) - (len(whole + fraction) - len(written))  # its position among the digits
    digits = written.rstrip("0")
    return sign + _with_point(digits, point)


def _with_point(digits: str, point: int) -> str:
    """Return digits with a decimal point after `point` of them, in ECMAScript's notation.

    Source: ECMA-262, Number::toString (x, 10).
    """
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
