import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet.protocols.tables import rows_of_columns


def test_the_columns_of_a_table_become_rows() -> None:
    assert rows_of_columns({"a": [1, 2], "b": ["x", None]}) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize("columns", [[], {}, {"a": 1}, {"a": [1], "b": [1, 2]}])
def test_columns_that_are_no_table_are_refused(columns: object) -> None:
    with pytest.raises(InvalidRequestError, match="expected "):
        rows_of_columns(columns)
