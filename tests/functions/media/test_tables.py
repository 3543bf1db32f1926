import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import InvalidJsonError, InvalidRequestError, OnnxletError, TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_ROWS
from onnxlet.media.tables import is_number, parse_csv, parse_json_lines

NAMES = ("age", "sex")


@pytest.mark.parametrize(
    "text",
    [
        "age,sex\n22,male\n,female\n",
        "age,sex\r\n22,male\r\n,female",
        "age,sex\r22,male\r,female\r",
        'age,"sex"\n"22",male\n"",female\n\n\n',
        "\nage, sex\n22,male\n,female\n",
        "age;sex\n22;male\n;female\n",
        "age\tsex\n22\tmale\n\tfemale\n",
    ],
)
def test_rows_are_objects_by_the_names_in_the_header(text: str) -> None:
    assert parse_csv(text, NAMES) == [{"age": "22", "sex": "male"}, {"age": "", "sex": "female"}]


def test_a_quoted_value_may_contain_quotes_delimiters_and_lines() -> None:
    text = 'text;age\n"He said ""no"", and left;\nthen came back";3\n'
    assert parse_csv(text, ["text"]) == [{"text": 'He said "no", and left;\nthen came back', "age": "3"}]


def test_a_delimiter_in_quotes_does_not_count() -> None:
    assert parse_csv('"a,b";"c"\n1;2\n', ["c"]) == [{"a,b": "1", "c": "2"}]


def test_a_line_with_a_number_and_no_known_name_is_a_row() -> None:
    assert parse_csv("22,male\n30,female\n", NAMES) == [["22", "male"], ["30", "female"]]


def test_a_line_without_a_number_is_a_header_so_that_another_order_of_columns_is_noticed() -> None:
    assert parse_csv("width,height\n1,2\n", NAMES) == [{"width": "1", "height": "2"}]


@pytest.mark.parametrize(
    ("has_header", "rows"),
    [(False, [["a", "b"], ["c", "d"]]), (True, [{"a": "c", "b": "d"}]), (None, [{"a": "c", "b": "d"}])],
)
def test_a_declared_header_is_believed(has_header: bool | None, rows: list[Any]) -> None:
    assert parse_csv("a,b\nc,d\n", NAMES, has_header=has_header) == rows


def test_a_declared_delimiter_is_believed() -> None:
    assert parse_csv("a,b\tage\n1\t2", NAMES, "\t") == [{"a,b": "1", "age": "2"}]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "at least one row, got none"),
        ("\n\n", "at least one row, got none"),
        ("age,sex\n", "rows after the header age, sex"),
        ("age,sex\n1,male\n2,male,3\n", "row 2: expected 2 values, as in the header, got 3: too many"),
        ("age,sex\n1\n", "row 1: expected 2 values, as in the header, got 1: the column 'sex' is missing"),
        ("age,age\n1,2\n", "the column 'age' twice"),
        (",age\n0,22\n", "column 1 has no name: pandas"),
    ],
)
def test_a_table_of_another_form_is_a_400(text: str, error: str) -> None:
    with pytest.raises(InvalidRequestError, match=error) as raised:
        parse_csv(text, NAMES)
    assert raised.value.status == 400


@pytest.mark.parametrize("text", ['age\n"1', 'age\n"1"2\n', "age\n" + "x" * 200_000])
def test_what_is_not_csv_is_a_422(text: str) -> None:
    with pytest.raises(UnreadablePayloadError, match="CSV: line"):
        parse_csv(text, NAMES)


def test_too_many_rows_are_a_413() -> None:
    with pytest.raises(TooLargeError, match=f"at most {MAX_ROWS} rows, got {MAX_ROWS + 1}"):
        parse_csv("1\n" * (MAX_ROWS + 1), ["x"])
    with pytest.raises(TooLargeError, match="at most 1000000 values"):
        parse_csv("," * 1_000_001, ["x"])
    with pytest.raises(TooLargeError, match="at most 1000000 values"):
        parse_csv("1\r" * 1_000_001, ["x"])
    with pytest.raises(TooLargeError, match=f"at most {MAX_ROWS} rows"):
        parse_json_lines(b"1\n" * (MAX_ROWS + 1))
    with pytest.raises(TooLargeError, match="at most 1000000 lists"):
        parse_json_lines((b"[" + b"[]," * 200_000 + b"1]\n") * 6)


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_python_writes_is_read(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(["age", "sex"])
    writer.writerows(rows)
    assert [list(row.values()) for row in parse_csv(file.getvalue(), NAMES)] == rows


@given(st.text(max_size=60))
def test_any_text_gives_rows_or_an_error_of_the_client(text: str) -> None:
    try:
        rows = parse_csv(text, NAMES)
    except OnnxletError as error:
        assert 400 <= error.status < 500
    else:
        assert rows


def test_each_line_of_json_lines_is_a_row() -> None:
    body = b'\xef\xbb\xbf{"age": 22}\r\n\n[1, 2]\n"text"\nNaN'
    assert [str(row) for row in parse_json_lines(body)] == ["{'age': 22}", "[1, 2]", "text", "nan"]


def test_a_line_that_is_not_json_is_named() -> None:
    with pytest.raises(InvalidJsonError, match="JSON Lines: row 2: the body is not JSON"):
        parse_json_lines(b'{"age": 1}\n{"age": \n')
    with pytest.raises(InvalidRequestError, match="at least one row"):
        parse_json_lines(b"\n\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True),
        (" -1.5e3 ", True),
        ("nan", True),
        ("inf", True),
        ("", False),
        ("1_000", False),
        ("1,5", False),
        ("x", False),
    ],
)
def test_numbers_are_told_from_texts(text: str, expected: bool) -> None:
    assert is_number(text) is expected
