"""Document: a JSON object of the registry, its digest, and typed access with errors that name the path to a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import orjson

from onnxlet.contract import hashing
from onnxlet.contract.canonical_json import canonical
from onnxlet.errors import ManifestError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Size of a document that is written once: a larger one is neither written nor read."""

MAX_STATE_BYTES = 4 * MAX_DOCUMENT_BYTES
"""Size of a document that is replaced as it changes: an alias with three manifests and its history, or 75,000 keys."""

MAX_REPAIR_BYTES = 64 * 1024 * 1024
"""Size of a document that the command reads to replace it with a smaller one."""

UNSEALED, SEALED = SCHEMAS = (1, 2)
"""The schema of documents whose digest may be missing, and the schema that is written now."""

DIGEST = "digest"
"""The field of a sealed document with the SHA-256 of the other fields."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document, indented and with sorted keys, so that equal content has equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def to_sealed_json(document: Mapping[str, Any], at_most: int = MAX_DOCUMENT_BYTES, remedy: str = "") -> bytes:
    """Return the bytes of a document with the digest of its content, which shows readers that no bit has changed.

    Args:
        document: The content, with its `schema`.
        at_most: The largest size in bytes that a reader accepts.
        remedy: Advice for the error on how to make the document smaller.

    Raises:
        ManifestError: the document is too large, or JSON cannot hold it.
    """
    digest = hashing.sha256(content_bytes(document)).hexdigest()
    data = orjson.dumps({**document, DIGEST: digest}, option=orjson.OPT_SORT_KEYS)
    if len(data) > at_most:
        raise ManifestError(f"document: expected at most {at_most} bytes, got {len(data)}{remedy and f': {remedy}'}")
    return data


def content_bytes(content: Mapping[str, Any]) -> bytes:
    """Return the bytes that are hashed or signed: canonical JSON, or for schema 1, orjson's with sorted keys.

    Raises:
        ManifestError: JSON or RFC 8785 cannot hold the content.
    """
    if content.get("schema") != UNSEALED:
        return canonical(content)
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ManifestError(f"document: expected content that JSON can hold, got {error}") from error


class Document:
    """A view of one JSON object; `path` names it in errors, for instance `manifest.artifacts[0]`.

    A method with the name of a type returns a field's value, and raises a ManifestError if the field is missing or has
    another type.
    """

    def __init__(self, content: object, path: str) -> None:
        """Wrap a parsed JSON object.

        Raises:
            ManifestError: the content is not a JSON object.
        """
        if not isinstance(content, dict):
            raise ManifestError(f"{path}: expected a JSON object, got {content!r:.80}")
        self.content: dict[str, Any] = content
        self.path = path

    @classmethod
    def parse(cls, data: bytes, path: str, at_most: int = MAX_DOCUMENT_BYTES) -> Document:
        """Read the bytes of a document.

        Raises:
            ManifestError: the bytes are too many, not JSON, or not an object.
        """
        if len(data) > at_most:
            raise ManifestError(f"{path}: expected at most {at_most} bytes, got {len(data)}")
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ManifestError(f"{path}: expected JSON, got {error}") from error
        return cls(content, path)

    @classmethod
    def parse_sealed(cls, data: bytes, path: str, at_most: int = MAX_DOCUMENT_BYTES) -> Document:
        """Read the bytes of a document and verify its digest, which schema 1 need not have.

        Raises:
            ManifestError: see `parse` and `require_schema`; or the content is not the one that was written.
        """
        document = cls.parse(data, path, at_most)
        document.require_schema(*SCHEMAS)
        expected = document.content.pop(DIGEST, None)
        if expected is not None or document.content["schema"] != UNSEALED:
            document.require_digest(expected)
        return document

    def require_digest(self, expected: object) -> None:
        """Refuse content with another SHA-256 than `expected`.

        Raises:
            ManifestError: the SHA-256 differs.
        """
        try:
            digest = hashing.sha256(content_bytes(self.content)).hexdigest()
        except ManifestError as error:
            raise ManifestError(f"{self.path}: {error}") from error
        if expected != digest:
            raise ManifestError(f"{self.path}: expected content with the SHA-256 {expected!r:.80}, got {digest}")

    def require_schema(self, *schemas: int) -> None:
        """Refuse a document of another schema than these.

        Raises:
            ManifestError: the schema differs or is missing.
        """
        schema = self.content.get("schema")
        if schema not in schemas or isinstance(schema, bool):
            expected = " or ".join(map(str, schemas))
            raise self.error("schema", f"{expected} (another onnxlet may have written this)")

    def require_fields(self, fields: Collection[str], *, all_of_them: bool) -> None:
        """Refuse fields other than these and, with `all_of_them`, a document without one of these.

        Raises:
            ManifestError: a field is unknown or missing.
        """
        unknown = sorted(set(self.content) - set(fields))
        if unknown:
            raise ManifestError(f"{self.path}: the field {unknown[0]!r:.80} is unknown")
        missing = [field for field in fields if field not in self.content]
        if missing and all_of_them:
            raise ManifestError(f"{self.path}: the field {missing[0]!r} is missing")

    def has(self, field: str) -> bool:
        """Return whether a field is present and not null."""
        return self.content.get(field) is not None

    def text(self, field: str, *, at_most: int = 1024) -> str:
        """Return a string of 1 to `at_most` characters."""
        expected = f"a string of 1 to {at_most} characters"
        return str(self._checked(field, lambda value: _is_text(value) and 0 < len(value) <= at_most, expected))

    def optional_text(self, field: str) -> str | None:
        """Return a string, or None if the field is absent or null."""
        return self.text(field) if self.has(field) else None

    def integer(self, field: str, at_least: int, at_most: int = 2**53) -> int:
        """Return an integer from `at_least` to `at_most`."""
        expected = f"an integer from {at_least} to {at_most}"
        return int(self._checked(field, lambda value: type(value) is int and at_least <= value <= at_most, expected))

    def optional_integer(self, field: str, at_least: int) -> int | None:
        """Return an integer of at least `at_least`, or None if the field is absent or null."""
        return self.integer(field, at_least) if self.has(field) else None

    def integers(self, field: str, at_least: int) -> tuple[int, ...]:
        """Return a list of integers of at least `at_least`."""
        is_list = _list_of(lambda value: type(value) is int and value >= at_least)
        return tuple(self._checked(field, is_list, f"a list of integers from {at_least}"))

    def boolean(self, field: str) -> bool:
        """Return true or false."""
        return bool(self._checked(field, lambda value: isinstance(value, bool), "true or false"))

    def number(self, field: str) -> float:
        """Return a number."""
        return float(self._checked(field, _is_number, "a number"))

    def numbers(self, field: str, lengths: tuple[int, ...]) -> tuple[float, ...]:
        """Return a list of numbers whose length is one of `lengths`."""
        is_list = _list_of(_is_number)
        expected = f"a list of {' or '.join(map(str, lengths))} numbers"
        return tuple(map(float, self._checked(field, lambda value: is_list(value) and len(value) in lengths, expected)))

    def number_map(self, field: str) -> dict[str, float]:
        """Return an object of numbers, empty if the field is absent."""
        return self._map(field, _is_number, "an object of numbers")

    def choice(self, field: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`."""
        return str(self._checked(field, lambda value: value in choices, f"one of {', '.join(choices)}"))

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(self._checked(field, _list_of(_is_text), "a list of strings"))

    def text_map(self, field: str) -> dict[str, str]:
        """Return an object of strings, empty if the field is absent."""
        return self._map(field, _is_text, "an object of strings")

    def items(self, field: str) -> list[Any]:
        """Return a list of any values."""
        values: list[Any] = self._checked(field, lambda value: isinstance(value, list), "a list")
        return values

    def document(self, field: str) -> Document:
        """Return a JSON object inside this one."""
        return Document(self._get(field), f"{self.path}.{field}")

    def optional_document(self, field: str) -> Document | None:
        """Return a JSON object inside this one, or None if the field is absent or null."""
        return self.document(field) if self.has(field) else None

    def documents(self, field: str) -> Iterator[Document]:
        """Yield the JSON objects of a list."""
        for index, item in enumerate(self.items(field)):
            yield Document(item, f"{self.path}.{field}[{index}]")

    def error(self, field: str, expected: str) -> ManifestError:
        """Return the error that a field has another value than `expected`."""
        return ManifestError(f"{self.path}.{field}: expected {expected}, got {_shortened(self.content.get(field))}")

    def _get(self, field: str) -> Any:
        if field not in self.content:
            raise ManifestError(f"{self.path}: the field {field!r} is missing")
        return self.content[field]

    def _checked(self, field: str, fits: Callable[[Any], bool], expected: str) -> Any:
        value = self._get(field)
        if not fits(value):
            raise self.error(field, expected)
        return value

    def _map(self, field: str, fits: Callable[[object], bool], expected: str) -> dict[str, Any]:
        values = self.content.get(field, {})
        if not isinstance(values, dict) or not all(map(fits, values.values())):
            raise self.error(field, expected)
        return values


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check that a value is a list of items that fit."""
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
