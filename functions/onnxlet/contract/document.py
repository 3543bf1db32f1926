"""A JSON document being read: typed access, with errors that name the path to what is wrong."""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import orjson

from onnxlet.errors import ManifestError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""The largest document that is written once; a larger one is neither written nor parsed."""

MAX_STATE_BYTES = 4 * MAX_DOCUMENT_BYTES
"""The largest document that is replaced as it changes: an alias holds three manifests and its last moves, the keys'
document 75,000 keys."""

MAX_REPAIR_BYTES = 64 * 1024 * 1024
"""The largest document that the command reads, so that it can write a smaller one in its place."""

UNSEALED, SEALED = SCHEMAS = (1, 2)
"""The schema of documents whose digest may be missing, and of those that are written now."""

DIGEST = "digest"
"""The field of a sealed document that holds the SHA-256 of the others."""

MAX_INTEGER = 2**53
"""The largest integer that a reader of RFC 8785 keeps exactly."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document, the same for the same content, made to be read by people too."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def to_sealed_json(document: Mapping[str, Any], at_most: int = MAX_DOCUMENT_BYTES, remedy: str = "") -> bytes:
    """Return the bytes of a document with the digest of its content, which shows a reader that no bit has changed.

    Args:
        document: The content, with its `schema`.
        at_most: How many bytes a reader takes.
        remedy: What makes the document smaller, for the error.

    Raises:
        ManifestError: the document is too large, or holds what JSON cannot.
    """
    digest = hashlib.sha256(content_bytes(document)).hexdigest()
    data = orjson.dumps({**document, DIGEST: digest}, option=orjson.OPT_SORT_KEYS)
    if len(data) > at_most:
        raise ManifestError(f"document: expected at most {at_most} bytes, got {len(data)}{remedy and f': {remedy}'}")
    return data


def content_bytes(content: Mapping[str, Any]) -> bytes:
    """Return the bytes that a digest or a signature is of: the form of RFC 8785, or what schema 1 had in its place.

    Raises:
        ManifestError: the content holds what JSON cannot, or more than RFC 8785 keeps.
    """
    if content.get("schema") != UNSEALED:
        return canonical(content)
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ManifestError(f"document: expected JSON that can be written again, got {error}") from error


def canonical(content: object) -> bytes:
    """Return the one text of a JSON value that RFC 8785 (JSON Canonicalization Scheme) defines.

    Raises:
        ManifestError: the value is not JSON, is nested too deep, or has an integer beyond 2^53.
    """
    try:
        return orjson.dumps(_canonical(content))
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise ManifestError(f"document: expected JSON as RFC 8785 has it, got {error}") from error


def _canonical(value: object) -> object:
    """Return the value as orjson must write it: names in the order of UTF-16, numbers as ECMAScript writes them."""
    if isinstance(value, dict):
        return {name: _canonical(value[name]) for name in _in_order(value)}
    if isinstance(value, list | tuple):
        return value if set(map(type, value)) == {str} else [_canonical(item) for item in value]
    if isinstance(value, float):
        return orjson.Fragment(_number(value))
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ManifestError(f"document: expected integers up to {MAX_INTEGER}, got {_describe(value)}")
    return value


def _in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of their UTF-16 code units, which is that of ASCII where there is nothing else."""
    found = sorted(names)
    return (
        found
        if all(map(str.isascii, found))
        else sorted(found, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    )


def _number(value: float) -> str:
    """Return a number as ECMAScript writes it: `Number::toString`, which has the digits that Python's `repr` has.

    Raises:
        ManifestError: it is infinite or NaN.
    """
    if not math.isfinite(value):
        raise ManifestError(f"document: expected a finite number, got {value}")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    written = (whole + fraction).lstrip("0")
    point = len(whole) + int(power or 0) - (len(whole + fraction) - len(written))  # where it is among the digits
    digits = written.rstrip("0")
    return sign + _with_point(digits, point)


def _with_point(digits: str, point: int) -> str:
    """Return digits with the point behind so many of them, as ECMAScript sets it.

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


class Document:
    """A view of one JSON object; `path` is how a reader finds it, for instance `manifest.artifacts[0]`."""

    def __init__(self, content: object, path: str) -> None:
        """Wrap `content`.

        Raises:
            ManifestError: it is not a JSON object.
        """
        if not isinstance(content, dict):
            raise ManifestError(f"{path}: expected a JSON object, got {_describe(content)}")
        self.content: dict[str, Any] = content
        self.path = path

    @classmethod
    def parse(cls, data: bytes, path: str, at_most: int = MAX_DOCUMENT_BYTES) -> "Document":
        """Read the bytes of a document.

        Raises:
            ManifestError: too large, not JSON or not an object.
        """
        if len(data) > at_most:
            raise ManifestError(f"{path}: expected at most {at_most} bytes, got {len(data)}")
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ManifestError(f"{path}: expected JSON, got {error}") from error
        return cls(content, path)

    @classmethod
    def parse_sealed(cls, data: bytes, path: str, at_most: int = MAX_DOCUMENT_BYTES) -> "Document":
        """Read the bytes of a document, and compare its content with its digest, which schema 1 need not have.

        Raises:
            ManifestError: as `parse` and `require_schema`, or other content than was written.
        """
        document = cls.parse(data, path, at_most)
        document.require_schema(*SCHEMAS)
        expected = document.content.pop(DIGEST, None)
        if expected is not None or document.content["schema"] != UNSEALED:
            document.require_digest(expected)
        return document

    def require_digest(self, expected: object) -> None:
        """Refuse content that has another SHA-256.

        Raises:
            ManifestError: it has.
        """
        try:
            found = hashlib.sha256(content_bytes(self.content)).hexdigest()
        except ManifestError as error:
            raise ManifestError(f"{self.path}: {error}") from error
        if expected != found:
            raise ManifestError(f"{self.path}: expected content with the SHA-256 {_describe(expected)}, got {found}")

    def require_schema(self, *schemas: int) -> None:
        """Refuse a schema number that is not one of these.

        Raises:
            ManifestError: another number, or none.
        """
        found = self.content.get("schema")
        if found not in schemas or isinstance(found, bool):
            expected = " or ".join(map(str, schemas))
            raise self.error("schema", f"{expected} (another onnxlet may have written this)")

    def require_fields(self, fields: Collection[str], *, all_of_them: bool) -> None:
        """Refuse fields that are not among these, and where all of these must be there, one that is missing.

        Raises:
            ManifestError: a field is unknown, or missing.
        """
        unknown = sorted(set(self.content) - set(fields))
        if unknown:
            raise ManifestError(f"{self.path}: the field {_describe(unknown[0])} is unknown")
        missing = [field for field in fields if field not in self.content]
        if missing and all_of_them:
            raise ManifestError(f"{self.path}: the field {missing[0]!r} is missing")

    def text(self, field: str, *, at_most: int = 1024) -> str:
        """A string of 1 to `at_most` characters."""
        value = self._get(field)
        if not isinstance(value, str) or not 0 < len(value) <= at_most:
            raise self.error(field, f"a string of 1 to {at_most} characters")
        return value

    def optional_text(self, field: str) -> str | None:
        """A string, or None where the field is absent or null."""
        return None if self.content.get(field) is None else self.text(field)

    def integer(self, field: str, at_least: int, at_most: int = 2**53) -> int:
        """An integer in `[at_least, at_most]`."""
        value = self._get(field)
        if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
            raise self.error(field, f"an integer from {at_least} to {at_most}")
        return value

    def optional_integer(self, field: str, at_least: int) -> int | None:
        """An integer of `at_least` or more, or None where the field is absent or null."""
        return None if self.content.get(field) is None else self.integer(field, at_least)

    def number(self, field: str) -> float:
        """A number."""
        value = self._get(field)
        if not _is_number(value):
            raise self.error(field, "a number")
        return float(value)

    def numbers(self, field: str, lengths: tuple[int, ...]) -> tuple[float, ...]:
        """A list of numbers whose length is one of `lengths`."""
        values = self._get(field)
        if not isinstance(values, list) or len(values) not in lengths or not all(map(_is_number, values)):
            raise self.error(field, f"a list of {' or '.join(map(str, lengths))} numbers")
        return tuple(float(value) for value in values)

    def choice(self, field: str, choices: tuple[str, ...]) -> str:
        """One of `choices`."""
        value = self._get(field)
        if value not in choices:
            raise self.error(field, f"one of {', '.join(choices)}")
        return str(value)

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._get(field)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.error(field, "a list of strings")
        return tuple(values)

    def text_map(self, field: str) -> dict[str, str]:
        """An object whose values are strings; empty where the field is absent."""
        values = self.content.get(field, {})
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise self.error(field, "an object of strings")
        return values

    def number_map(self, field: str) -> dict[str, float]:
        """An object whose values are numbers; empty where the field is absent."""
        values = self.content.get(field, {})
        if not isinstance(values, dict) or not all(map(_is_number, values.values())):
            raise self.error(field, "an object of numbers")
        return values

    def integers(self, field: str, at_least: int) -> tuple[int, ...]:
        """A list of integers of `at_least` or more."""
        values = self._get(field)
        if not isinstance(values, list) or not all(type(value) is int and value >= at_least for value in values):
            raise self.error(field, f"a list of integers from {at_least}")
        return tuple(values)

    def items(self, field: str) -> list[Any]:
        """A list of anything."""
        values = self._get(field)
        if not isinstance(values, list):
            raise self.error(field, "a list")
        return values

    def document(self, field: str) -> "Document":
        """A JSON object inside this one."""
        return Document(self._get(field), f"{self.path}.{field}")

    def optional_document(self, field: str) -> "Document | None":
        """A JSON object inside this one, or None where the field is absent or null."""
        return None if self.content.get(field) is None else self.document(field)

    def documents(self, field: str) -> Iterator["Document"]:
        """The JSON objects of a list."""
        for index, item in enumerate(self.items(field)):
            yield Document(item, f"{self.path}.{field}[{index}]")

    def error(self, field: str, expected: str) -> ManifestError:
        """The error that says what `field` holds where `expected` should be."""
        return ManifestError(f"{self.path}.{field}: expected {expected}, got {_describe(self.content.get(field))}")

    def _get(self, field: str) -> Any:
        if field not in self.content:
            raise ManifestError(f"{self.path}: the field {field!r} is missing")
        return self.content[field]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _describe(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
