"""A JSON document being read: typed access, with errors that name the path to what is wrong."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from onnxlet.errors import ManifestError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""No manifest needs more; a larger one is refused before it is parsed."""


DIGEST = "digest"
"""The field of a sealed document that holds the SHA-256 of the others, as JSON without spaces and sorted by name."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """The bytes of a document, the same for the same content, made to be read by people too."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def to_sealed_json(document: Mapping[str, Any]) -> bytes:
    """As `to_json`, with the digest of the content in it, by which a reader knows that no bit of it has changed."""
    return to_json({**document, DIGEST: _digest(document)})


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
    def parse(cls, data: bytes, path: str) -> "Document":
        """Read the bytes of a document.

        Raises:
            ManifestError: too large, not JSON or not an object.
        """
        if len(data) > MAX_DOCUMENT_BYTES:
            raise ManifestError(f"{path}: expected at most {MAX_DOCUMENT_BYTES} bytes, got {len(data)}")
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ManifestError(f"{path}: expected JSON, got {error}") from error
        return cls(content, path)

    @classmethod
    def parse_sealed(cls, data: bytes, path: str, schema: int) -> "Document":
        """Read the bytes of a document, and hold its content to its digest, where it has one: older writers gave none.

        Raises:
            ManifestError: as `parse` and `require_schema`, or other content.
        """
        document = cls.parse(data, path)
        document.require_schema(schema)
        expected = document.content.pop(DIGEST, None)
        if expected is not None and expected != (found := _digest(document.content)):
            raise ManifestError(f"{path}: expected content with the SHA-256 {_describe(expected)}, got {found}")
        return document

    def require_schema(self, schema: int) -> None:
        """Refuse any schema number but this one.

        Raises:
            ManifestError: another number, or none.
        """
        found = self.content.get("schema")
        if found != schema or isinstance(found, bool):
            raise self.error("schema", f"{schema} (another onnxlet may have written this)")

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


def _digest(content: Mapping[str, Any]) -> str | None:
    """The SHA-256 of a document without its digest; None of what is nested deeper than orjson writes."""
    try:
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except orjson.JSONEncodeError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _describe(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
