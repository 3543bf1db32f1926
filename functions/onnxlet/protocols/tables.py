"""Tables as payloads: rows as JSON, JSON Lines or CSV, for a model whose task takes rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, json_shown, json_word
from onnxlet.limits import MAX_ROWS
from onnxlet.media import media_types, texts
from onnxlet.tasks.rows import Items, Rows

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tasks.tables import TableTask

HEADERS = {"present": True, "absent": False}
"""Whether a table has a header, by the parameter `header` of its media type."""


def decode(manifest: Manifest, kind: str, body: bytes, media_type: str) -> Iterator[Rows]:
    """Decode a table that is not JSON: JSON Lines, or CSV for every other kind of text.

    Raises:
        InvalidRequestError, InvalidJsonError: the table has no row, or is malformed.
        UnsupportedMediaError, UnreadablePayloadError: the text is not in the character set that it should be in.
        TooLargeError: the table has too many rows or values.
    """
    from onnxlet.media import tables  # few functions are ever sent a table

    if kind == media_types.JSON_LINES:
        return rows_of(manifest, tables.parse_json_lines(body))
    text, names = texts.decode(body, media_type), _names(manifest)
    if kind == media_types.TEXT and len(names) == 1:
        return rows_of(manifest, [text])
    delimiter = "\t" if kind == media_types.TSV else None
    has_header = HEADERS.get(media_types.parameter_of(media_type, "header"))
    return rows_of(manifest, tables.parse_csv(text, names, delimiter, has_header=has_header))


def rows_of(manifest: Manifest, values: Sequence[Any]) -> Iterator[Rows]:
    """Return rows of a table: all as one item, or each as its own for a model that takes one row at a time.

    Raises:
        InvalidRequestError: there is no row, or there are too many.
    """
    if not 0 < len(values) <= MAX_ROWS:
        raise InvalidRequestError(f"expected 1 to {MAX_ROWS} rows, got {len(values)}")
    if all(spec.shape is None or isinstance(spec.shape[0], str) for spec in manifest.inputs if spec.shape != ()):
        return iter([Items(values)])
    return (Items([value]) for value in values)


def rows_of_columns(columns: object) -> list[dict[str, Any]]:
    """Return the rows of a table that is given as a list of values for each column.

    Raises:
        InvalidRequestError: the columns are not lists of the same length.
    """
    if not isinstance(columns, dict) or not columns or not all(isinstance(column, list) for column in columns.values()):
        raise InvalidRequestError(f"expected a table, an object with a list for each column, got {json_shown(columns)}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidRequestError(f"expected columns of the same length, got {found:.200}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def values_of(manifest: Manifest, document: object) -> Sequence[Any]:
    """Return the rows of a JSON payload.

    They are `{"instances": [...]}`, a list of rows, one row as an object or a list, or an object of lists by column.

    Raises:
        InvalidRequestError: there is no list of rows.
    """
    names = _names(manifest)
    if isinstance(document, dict):
        if "instances" in document and "instances" not in names:
            document = document["instances"]
        else:
            is_table = document.keys() <= set(names) and all(isinstance(value, list) for value in document.values())
            return rows_of_columns(document) if is_table else [document]
    elif not isinstance(document, list) or (len(names) > 1 and document and not _has_rows(document)):
        return [document]
    if not isinstance(document, list):
        raise InvalidRequestError(f"instances: expected a list of rows, got {json_word(document)}")
    return document


def _names(manifest: Manifest) -> list[str]:
    task: TableTask = manifest.task  # type: ignore[assignment]
    return [column.name for column in task.columns]


def _has_rows(values: list[Any]) -> bool:
    """Return whether a list has a row in it, and is not a row itself."""
    return any(isinstance(value, list | dict) for value in values)
