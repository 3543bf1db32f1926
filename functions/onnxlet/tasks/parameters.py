"""Parameters of a request: each task names those that it has, with a parser for each.

A parser takes JSON's own types, and text, which a query string has for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onnxlet.errors import InvalidRequestError, json_shown

Parser = Callable[[str, object], Any]
"""Returns the checked value of a parameter, given its name and what the client sent."""


def parse(sent: Mapping[str, object], parsers: Mapping[str, Parser]) -> dict[str, Any]:
    """Return the checked parameters of a request; null stands for a parameter's default.

    Raises:
        InvalidRequestError: a parameter is unknown, or its value is not possible.
    """
    parameters = {}
    for name, value in sent.items():
        if value is None:
            continue
        if name not in parsers:
            known = ", ".join(sorted(parsers)) or "none"
            raise InvalidRequestError(f"parameter {name!r:.80}: expected one of this model's parameters ({known})")
        parameters[name] = parsers[name](name, value)
    return parameters


def integer(at_least: int, at_most: int) -> Parser:
    """Return the parser of an integer from `at_least` to `at_most`."""

    def parse_integer(name: str, value: object) -> int:
        number = None if isinstance(value, str) and not value.isdigit() else _number(value)
        if number is None or not number.is_integer() or not at_least <= number <= at_most:
            raise _error(name, f"an integer from {at_least} to {at_most}", value)
        return int(number)

    return parse_integer


def number(at_least: float, at_most: float) -> Parser:
    """Return the parser of a number from `at_least` to `at_most`."""

    def parse_number(name: str, value: object) -> float:
        parsed = _number(value)
        if parsed is None or not at_least <= parsed <= at_most:
            raise _error(name, f"a number from {at_least:g} to {at_most:g}", value)
        return parsed

    return parse_number


def choice(*choices: str) -> Parser:
    """Return the parser of one of `choices`."""

    def parse_choice(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _error(name, f"one of {', '.join(choices)}", value)
        return value

    return parse_choice


def flag(name: str, value: object) -> bool:
    """Return a truth value.

    Raises:
        InvalidRequestError: the value is neither true nor false.
    """
    parsed = {"true": True, "1": True, "false": False, "0": False}.get(value) if isinstance(value, str) else value
    if not isinstance(parsed, bool):
        raise _error(name, "true or false", value)
    return parsed


def text(at_most: int) -> Parser:
    """Return the parser of a text of 1 to `at_most` characters."""

    def parse_text(name: str, value: object) -> str:
        if not isinstance(value, str) or not _is_text(value, at_most):
            raise _error(name, f"a text of 1 to {at_most} characters", value)
        return value

    return parse_text


def texts(at_most: int, characters: int = 1000, at_least: int = 1) -> Parser:
    """Return the parser of a list of texts; a single text may stand for a list of them with commas."""

    def parse_texts(name: str, value: object) -> list[str]:
        items: Any = [item.strip() for item in value.split(",") if item] if isinstance(value, str) else value
        is_list = isinstance(items, list) and at_least <= len(items) <= at_most
        if not is_list or not all(isinstance(item, str) and _is_text(item, characters) for item in items):
            raise _error(name, f"a list of {at_least} to {at_most} texts of 1 to {characters} characters", value)
        return list(items)

    return parse_texts


def _is_text(value: str, at_most: int) -> bool:
    """Return whether a text has a possible length, and no half of a surrogate pair, which has no form in UTF-8."""
    return 0 < len(value) <= at_most and (value.isascii() or not any("\ud800" <= item <= "\udfff" for item in value))


def _number(value: object) -> float | None:
    """Return a number that JSON or a query holds; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and (len(value) > 40 or not value.isascii() or "_" in value):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _error(name: str, expected: str, value: object) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: expected {expected}, got {json_shown(value)}")
