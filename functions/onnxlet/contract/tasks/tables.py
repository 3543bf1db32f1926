"""Tasks of tables: which columns a row has, and which of the model's inputs each column feeds."""

from __future__ import annotations

from onnxlet.contract.document import Document
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.record import Record

MAX_COLUMNS = 16_384
"""Columns of a table: as many as a spreadsheet has."""


class Column(Record):
    """A column of a table. Its datatype is that of the input."""

    name: str
    input: str
    """The model's input. Several columns may feed one: it has a number for each, in their order here."""


class TableTask(Declaration):
    """A task whose model takes the rows of a table: tabular-classification or tabular-regression.

    The answer to a classifier's row is a label, by the manifest's classification; that to other rows is a number or,
    of a model with several outputs, a value for each output.
    """

    columns: tuple[Column, ...]
    """The columns in the order in which a row without their names has them."""
    label: str | None = None
    """The output with a classifier's own choice, which need not be the most probable class; None without one."""

    @property
    def takes(self) -> str:
        """The kind of payload that a person sends."""
        return "table"

    def inputs(self) -> tuple[str, ...]:
        """Return the names of the model's inputs that the columns feed."""
        return tuple(dict.fromkeys(column.input for column in self.columns))

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task names; it reads the others too."""
        return () if self.label is None else (self.label,)


def parse(document: Document) -> TableTask:
    """Read the declaration of a task of tables.

    Raises:
        ManifestError: a field is malformed or unknown, or two columns have one name.
    """
    columns = tuple(map(_parse_column, document.documents("columns")))
    if not 0 < len(columns) <= MAX_COLUMNS or len({column.name for column in columns}) != len(columns):
        raise document.error("columns", f"1 to {MAX_COLUMNS} columns with different names")
    return TableTask(document.text("name"), columns, document.optional_text("label"))


def _parse_column(document: Document) -> Column:
    document.require_fields(Column._fields, all_of_them=True)
    return Column(document.text("name"), document.text("input"))
