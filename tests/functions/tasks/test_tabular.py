"""Rows of tables in every form that people have, and their answers."""

from typing import Any

import pytest

from onnxlet.contract.tensors import MAX_VALUES
from onnxlet.web.app import App
from tests.helpers import app_requests
from tests.helpers.payload_requests import post, predictions

ROWS = [{"a": 1, "b": 2, "c": 3}, {"c": 0.5, "a": "7", "b": "-1e1"}]
ANSWERS = [321.0, -43.0]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (ROWS, "application/json"),
        ({"instances": ROWS}, "application/json"),
        ([[1, 2, 3], [7, "-10", 0.5]], "application/json"),
        ({"a": [1, 7], "b": [2, -10], "c": [3, 0.5]}, "application/json"),
        ({"instances": [{"x": [1, 2, 3]}, {"x": [7, -10, 0.5]}]}, "application/json"),
        (b"a,b,c\n1,2,3\n7,-10,0.5\n", "text/csv"),
        (b"c,b,a\r\n3,2,1\r\n0.5,-10,7\r\n", "text/csv; header=present"),
        (b"1,2,3\n7,-10,0.5\n", "text/csv"),
        (b"\xef\xbb\xbfa;b;c\n1;2;3\n7;-10;.5\n", "application/csv"),
        ("a,b,c\n1,2,3\n7,-10,0.5\n".encode("utf-16"), "text/csv; charset=utf-16"),
        (b"a\tb\tc\n1\t2\t3\n7\t-10\t0.5\n", "text/tab-separated-values"),
        (b"a,b,c\n1,2,3\n7,-10,0.5\n", "application/x-www-form-urlencoded"),
        (b"a,b,c\n1,2,3\n7,-10,0.5\n", "text/plain"),
        (b'{"a": 1, "b": 2, "c": 3}\n[7, -10, 0.5]\n', "application/x-ndjson"),
        (b'{"a": 1, "b": 2, "c": 3}\n[7, -10, 0.5]\n', "application/jsonlines"),
    ],
)
def test_rows_by_column_get_a_number_each(app: App, body: Any, media_type: str) -> None:
    assert predictions(app, "sums", body, media_type) == pytest.approx(ANSWERS)


@pytest.mark.parametrize("row", [ROWS[0], [1, 2, 3], [[1, 2, 3]], {"x": [1, 2, 3]}])
def test_one_row_needs_no_list_around_it(app: App, row: Any) -> None:
    assert predictions(app, "sums", row) == [321]


def test_a_model_of_one_row_takes_several_one_after_the_other(app: App) -> None:
    assert predictions(app, "one-by-one", ROWS) == pytest.approx(ANSWERS)


def test_many_rows_run_as_one_tensor(app: App) -> None:
    body = b"a,b,c\n" + b"1,2,3\n" * 20_000
    assert predictions(app, "sums", body, "text/csv") == [321] * 20_000


def test_columns_have_the_datatypes_of_their_inputs(app: App) -> None:
    rows = [
        {"age": 22, "height": 1.5, "name": "Anna"},
        {"age": "22", "height": "1.5", "name": 7},
        {"age": 22.0, "height": 1, "name": "7"},
    ]
    assert predictions(app, "people", rows) == [
        {"older": 23, "taller": 2.5, "named": "Anna"},
        {"older": 23, "taller": 2.5, "named": "7"},
        {"older": 23, "taller": 2, "named": "7"},
    ]


@pytest.mark.parametrize("missing", [None, "", "  ", "nan", float("nan")])
def test_nothing_is_no_number(app: App, missing: Any) -> None:
    assert predictions(app, "sums", [[missing, 1, 1]]) == [None]


def test_an_infinity_is_a_number(app: App) -> None:
    status, answer = post(app, "/predict/sums", [["-Infinity", 1, 1], ["inf", 1, 1]])
    assert (status, answer["predictions"]) == (200, [None, None])


def test_nothing_is_an_empty_text(app: App) -> None:
    body = b"age,height,name\n3,,\n"
    assert predictions(app, "people", body, "text/csv") == [{"older": 4, "taller": None, "named": ""}]
    assert predictions(app, "people", [[3, None, None]]) == [{"older": 4, "taller": None, "named": ""}]


@pytest.mark.parametrize(
    ("model", "rows", "error"),
    [
        ("sums", [ROWS[0], {"a": 1, "b": 2, "d": 3}], "row 2: the column 'd' is unknown, expected a, b, c"),
        ("sums", [{"a": 1, "c": 3}], "row 1: the column 'b' is missing"),
        ("sums", [[1, 2, 3], [1, 2]], "row 2: expected 3 values, a, b, c, got 2"),
        ("sums", [[1, 2, 3], 5], "row 2: expected 3 values, a, b, c, got 1"),
        ("sums", [[1, 2, "three"]], "row 1, column 'c': expected a number, got 'three'"),
        ("sums", [[1, 2, "1e400"]], "row 1, column 'c': expected a number, got '1e400'"),
        ("sums", [[1, 2, "1_000"]], "row 1, column 'c': expected a number, got '1_000'"),
        ("sums", [[1, 2, [3, 4]]], "row 1, column 'c': expected a number, got [3, 4]"),
        ("sums", [[1, 2, {}]], "row 1, column 'c': expected a number, got object"),
        ("sums", [[1, 2, 3], [1e39, 2, 3]], "row 2, column 'a': expected a value that FP32 can hold, got 1e+39"),
        ("people", [[None, 1, "x"]], "row 1, column 'age': expected an integer, got null"),
        ("people", [["", 1, "x"]], "row 1, column 'age': expected an integer, got ''"),
        ("people", [["2.5", 1, "x"]], "row 1, column 'age': expected an integer, got '2.5'"),
        ("people", [["inf", 1, "x"]], "row 1, column 'age': expected an integer, got 'inf'"),
        ("people", [[2**63, 1, "x"]], "row 1, column 'age': expected a value that INT64 can hold"),
        ("people", [[1, 1, 1.5]], "row 1, column 'name': expected a text, got 1.5"),
        ("people", [[1, 1, True]], "row 1, column 'name': expected a text, got true"),
    ],
)
def test_a_value_that_does_not_fit_is_a_400_with_its_row_and_column(
    app: App, model: str, rows: list[Any], error: str
) -> None:
    status, answer = post(app, f"/predict/{model}", rows)
    assert (status, error in answer["error"]) == (400, True), answer


@pytest.mark.parametrize(
    ("body", "media_type", "error"),
    [
        (b"a,b,c,d\n1,2,3,4\n", "text/csv", "row 1: the column 'd' is unknown"),
        (b"1,2,3,4\n", "text/csv", "row 1: expected 3 values, a, b, c, got 4"),
        (b"a,b,c\n1,2,3\n1,2\n", "text/csv", "row 2: expected 3 values, as in the header, got 2"),
        (b"a,b,c\n1,2,x\n", "text/csv", "row 1, column 'c': expected a number, got 'x'"),
        (b"p,q,r\n1,2,3\n", "text/csv", "the column 'p' is unknown, expected a, b, c"),
        (b'{"a": 1}\n', "application/jsonl", "row 1: the column 'b' is missing"),
        (b'{"a": [1, 2], "b": [3, 4], "c": [5]}', "application/json", "columns of the same length, got a 2, b 2, c 1"),
        (b"[]", "application/json", "expected 1 to 100000 rows, got 0"),
        (b'{"instances": 5}', "application/json", "instances: expected a list of rows, got number"),
    ],
)
def test_a_table_of_another_form_is_a_400(app: App, body: bytes, media_type: str, error: str) -> None:
    status, answer = post(app, "/predict/sums", body, media_type)
    assert (status, error in answer["error"]) == (400, True), answer


def test_a_picture_is_a_415(app: App) -> None:
    assert post(app, "/predict/sums", b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png")[0] == 415


def test_a_classifiers_row_gets_labels_with_probabilities(app: App) -> None:
    (row,) = predictions(app, "probable", {"one": 1, "two": 0})
    assert [item["label"] for item in row["top"]] == ["first", "sum", "second"]
    assert row["label"] == "first"
    assert row["probability"] == pytest.approx(row["top"][0]["probability"])
    assert sum(item["probability"] for item in row["top"]) == pytest.approx(1)


def test_a_classifiers_own_choice_comes_first(app: App) -> None:
    (row,) = predictions(app, "choices", [[1, 0]])
    assert [item["label"] for item in row["top"]] == ["second", "first", "sum"]
    (only,) = app_requests.post(app, "/predict/choices", b"[[1, 0]]", top_k="1")[1]["predictions"]
    assert only["top"][0] == row["top"][0]


def test_v1_answers_a_table_with_tensors(app: App) -> None:
    rows = [{"one": 1, "two": 0}, [0, 1], {"x": [3, 3]}]
    status, answer = post(app, "/v1/models/choices:predict", {"instances": rows})
    assert status == 200
    assert [row["choice"] for row in answer["predictions"]] == ["second", "first", "first"]
    assert post(app, "/v1/models/sums:predict", {"instances": ROWS})[1] == {"predictions": [[321.0], [-43.0]]}


def test_hugging_faces_clients_send_columns_of_texts(app: App) -> None:
    columns = {"a": ["1", "7"], "b": ["2", "-10"], "c": ["3", "0.5"]}
    for body in ({"inputs": None, "table": columns}, {"inputs": {"data": columns}}, {"inputs": ROWS}):
        assert post(app, "/models/sums", body) == (200, ANSWERS)
    choices = {"table": {"one": ["1"], "two": ["0"]}}
    assert post(app, "/models/choices", choices) == (200, ["second"])
    status, answer = post(app, "/models/sums", {"table": {"a": ["1", "2"], "b": ["3"], "c": ["4"]}})
    assert (status, "columns of the same length, got a 2, b 1, c 1" in answer["error"]) == (400, True)


def test_an_answer_is_bounded(app: App) -> None:
    assert MAX_VALUES > 100_000
    body = b"a,b,c\n" + b"1,2,3\n" * 100_001
    assert post(app, "/predict/sums", body, "text/csv")[0] == 413


def test_an_unknown_parameter_is_a_400(app: App) -> None:
    status, answer = app_requests.post(app, "/predict/sums", b"[1, 2, 3]", threshold="1")
    assert (status, "threshold" in answer["error"]) == (400, True)
