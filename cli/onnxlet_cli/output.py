"""Everything that the command prints: lines and tables for people, JSON for machines, errors on one line."""

import json as json_format
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnxlet.contract.manifest import Manifest

Row = dict[str, Any]


def progress() -> Console:
    """Return the console for progress reports: the error stream, so that the output stays free for `--json`."""
    return Console(stderr=True, soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line on the output."""
    Console(soft_wrap=True).print(escape(text), highlight=False)


def print_warning(text: str) -> None:
    """Print a warning on the error stream."""
    progress().print(f"[yellow]warning:[/] {escape(text)}", highlight=False)


def print_note(text: str) -> None:
    """Print a line on the error stream."""
    progress().print(text, highlight=False, markup=False)


def print_error(error: Exception) -> None:
    """Print an error as one line on the error stream."""
    progress().print(f"[red]onnxlet:[/] {escape(' '.join(str(error).split()))}", highlight=False)


def print_json(document: object) -> None:
    """Print a document as JSON on the output."""
    print(json_format.dumps(document, indent=2))  # noqa: T201 - without rich's colours and wrapping


def print_table(rows: Sequence[Row]) -> None:
    """Print rows as a table whose head is their keys."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        table.add_column(key)
    for row in rows:
        table.add_row(*(escape(to_cell(value)) for value in row.values()))
    Console(soft_wrap=True).print(table, highlight=False)


def show(document: object, *lines: str, rows: Sequence[Row] = (), json: bool) -> None:
    """Print a result: the document for machines, or a table and lines for people.

    Args:
        document: The result as JSON.
        *lines: Printed after the table.
        rows: The rows of the table; without rows there is no table.
        json: Whether `--json` was given.
    """
    if json:
        print_json(document)
        return
    if rows:
        print_table(rows)
    for line in lines:
        print_line(line)


def version_document(manifest: Manifest, *, is_live: bool) -> Row:
    """Return a version as JSON."""
    return {"model": manifest.model, "version": manifest.version, "live": is_live}


def version_line(manifest: Manifest, *, is_live: bool) -> str:
    """Return a line that says whether a version is live and who signed it."""
    signed = f", signed by {manifest.signature['public_key']}" if manifest.signature else ""
    return f"{manifest.model} version {manifest.version} {'is live' if is_live else 'staged'}{signed}"


def to_cell(value: object) -> str:
    """Return a value as a cell of a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "live" if value else ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict):
        return _headline(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _headline(metrics: Row) -> str:
    """Return the most telling of a version's metrics: its accuracy, or the first one."""
    name = "accuracy" if "accuracy" in metrics else next(iter(metrics), None)
    return "-" if name is None else f"{name} {to_cell(metrics[name])}"
