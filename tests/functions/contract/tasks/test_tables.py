import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.tasks import parse_task
from onnxlet.contract.tasks.tables import MAX_COLUMNS, Column, TableTask
from onnxlet.errors import ManifestError

TASK = TableTask("tabular-classification", (Column("age", "age"), Column("b", "x"), Column("c", "x")), "label")


def test_a_declaration_survives_being_written_and_read() -> None:
    assert parse_task(Document(TASK.to_document(), "task")) == TASK
    columns = [{"name": "a", "input": "x"}]
    found = parse_task(Document({"name": "tabular-regression", "columns": columns}, "task"))
    assert found == TableTask("tabular-regression", (Column("a", "x"),))


def test_it_names_the_tensors_that_it_needs() -> None:
    assert (TASK.takes, TASK.inputs(), TASK.outputs(), TASK.roles()) == ("table", ("age", "x"), ("label",), ())
    assert TableTask("tabular-regression", TASK.columns).outputs() == ()


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ([], f"columns: expected 1 to {MAX_COLUMNS} columns with different names"),
        ([{"name": "a", "input": "x"}] * 2, "different names"),
        ([{"name": "a"}], r"columns\[0\]: the field 'input' is missing"),
        ([{"name": "a", "input": "x", "datatype": "FP32"}], r"columns\[0\]: the field 'datatype' is unknown"),
        ([{"name": "", "input": "x"}], r"columns\[0\].name"),
        ("a", "columns: expected a list"),
    ],
)
def test_columns_that_are_malformed_are_refused(columns: object, error: str) -> None:
    with pytest.raises(ManifestError, match=error):
        parse_task(Document({"name": "tabular-regression", "columns": columns}, "task"))


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ManifestError, match="'header' is unknown"):
        parse_task(Document({**TASK.to_document(), "header": True}, "task"))
