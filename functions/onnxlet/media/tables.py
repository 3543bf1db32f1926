"""Tables as text: CSV and JSON Lines to rows, each an object by column or a list of values.

Source: RFC 4180 (CSV, and the parameter `header` of `text/csv`); https://jsonlines.org.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from typing import Any

from onnxlet.errors import (
    InvalidJsonError,
    InvalidRequestError,
    TooLargeError,
    UnreadablePayloadError,
    json_shown,
)
from onnxlet.limits import MAX_JSON_TEXTS, MAX_ROWS, deadline, memory
from onnxlet.media.json_body import count_bytes, parse_json

DELIMITERS = (",", ";", "\t")
"""Characters between values. The first one that the first line contains outside of quotes is the table's."""

CELL_BYTES = 88
"""The memory of a value: a text, and its place in a list or an object."""

_QUOTED = re.compile(r'"[^"]*"')


def parse_csv(
    text: str, names: Collection[str], delimiter: str | None = None, *, has_header: bool | None = None
) -> list[Any]:
    """Return the rows of a CSV table: objects by column if its first line names the columns, else lists of texts.

    Blank lines are left out. Without `has_header`, the first line names columns if it has one of `names`, or no number.

    Args:
        text: The table.
        names: Names of columns that are expected.
        delimiter: The character between values; None for the first of `DELIMITERS` in the first line.
        has_header: Whether the first line names the columns; None if nobody has declared it.

    Raises:
        UnreadablePayloadError: the text is not CSV.
        InvalidRequestError: there is no row, or a row or the header has another form.
        TooLargeError: the table has too many rows or values.
    """
    delimiter = delimiter or _delimiter_of(text)
    _check_size(text.count(delimiter) + max(text.count("\n"), text.count("\r")) + 1)
    lines = _read(text, delimiter)
    if not lines:
        raise InvalidRequestError("CSV: expected a table with at least one row, got none")
    header = [cell.strip() for cell in lines[0]]
    if has_header is None:
        has_header = not names or not set(names).isdisjoint(header) or not any(map(is_number, header))
    if not has_header:
        return lines
    _check_header(header)
    if len(lines) == 1:
        raise InvalidRequestError(f"CSV: expected rows after the header {', '.join(header):.200}, got none")
    return [_by_column(header, line, number) for number, line in enumerate(lines[1:], 1)]


def parse_json_lines(body: bytes) -> list[Any]:
    """Return the value of each line of JSON Lines; blank lines are left out.

    Raises:
        InvalidJsonError: a line is not JSON.
        InvalidRequestError: there is no line.
        TooLargeError: there are too many lines.
    """
    lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if not lines:
        raise InvalidRequestError("JSON Lines: expected at least one row, got none")
    _check_rows(len(lines))
    memory.take(count_bytes(body))
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parse_json(line))
        except InvalidJsonError as error:
            raise InvalidJsonError(f"JSON Lines: row {number}: {error}") from error
    return rows


def is_number(text: str) -> bool:
    """Return whether a text is a decimal number, NaN or an infinity, perhaps with blanks around it."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python allows it between digits


def _delimiter_of(text: str) -> str:
    unquoted = _QUOTED.sub("", text[: io.DEFAULT_BUFFER_SIZE]).lstrip("\r\n")
    first = re.split(r"[\r\n]", unquoted, maxsplit=1)[0]
    return next((delimiter for delimiter in DELIMITERS if delimiter in first), DELIMITERS[0])


def _read(text: str, delimiter: str) -> list[list[str]]:
    """Return the values of each line that is not blank."""
    lines: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for line in reader:
            if len(lines) % 1000 == 0:
                deadline.check()
                _check_rows(len(lines))
            if line:
                lines.append(line)
    except csv.Error as error:
        raise UnreadablePayloadError(f"CSV: line {reader.line_num}: {error}") from error
    _check_rows(len(lines))
    return lines


def _check_size(cells: int) -> None:
    if cells > MAX_JSON_TEXTS:
        raise TooLargeError(f"CSV: expected at most {MAX_JSON_TEXTS} values, got {cells}: send fewer rows")
    memory.take(CELL_BYTES * cells)


def _check_rows(count: int) -> None:
    if count > MAX_ROWS:
        raise TooLargeError(f"expected at most {MAX_ROWS} rows, got {count}")


def _check_header(header: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(header, 1):
        if not name:
            raise InvalidRequestError(
                f"CSV: column {number} has no name: pandas writes its index in such a column, unless index=False"
            )
        if name in seen:
            raise InvalidRequestError(f"CSV: the header has the column {json_shown(name)} twice")
        seen.add(name)


def _by_column(header: Sequence[str], line: Sequence[str], number: int) -> dict[str, str]:
    if len(line) != len(header):
        place = f"the column {json_shown(header[len(line)])} is missing" if len(line) < len(header) else "too many"
        raise InvalidRequestError(
            f"CSV: row {number}: expected {len(header)} values, as in the header, got {len(line)}: {place}"
        )
    return dict(zip(header, line, strict=True))
