"""V1 requests through the whole app."""

import json
import math
from typing import Any

import numpy as np
import pytest

from onnxlet.limits import MAX_INSTANCES
from onnxlet.web.app import App
from tests.helpers.payload_requests import b64, picture, post, predictions, v1


class TestRows:
    def test_one_input_takes_bare_values_or_its_name(self, app: App) -> None:
        assert v1(app, "sums", instances=[[1, 2, 3], [4, 5, 6]]) == {"predictions": [6.0, 15.0]}
        assert v1(app, "sums", instances=[{"x": [1, 2, 3]}]) == {"predictions": [6.0]}

    def test_several_inputs_and_outputs_go_by_name(self, app: App) -> None:
        rows = [{"a": [1, 2], "b": [3, 4]}, {"a": [5, 6], "b": [7, 8]}]
        assert v1(app, "two", instances=rows)["predictions"] == [
            {"sum": [4, 6], "difference": [-2, -2]},
            {"sum": [12, 14], "difference": [-2, -2]},
        ]

    def test_tensors_get_values_and_images_get_labels(self, app: App) -> None:
        (row,) = v1(app, "digits", instances=[np.zeros((28, 28, 1)).tolist()])["predictions"]
        assert len(row) == 10
        assert sum(row) == pytest.approx(1)
        (label,) = v1(app, "digits", instances=[{"b64": b64(picture())}], parameters={"top_k": 2})["predictions"]
        assert len(label["top"]) == 2

    def test_strings_may_be_bytes(self, app: App) -> None:
        assert v1(app, "text", instances=["a", {"b64": b64("é".encode())}]) == {"predictions": ["a", "é"]}

    def test_a_version_may_be_named(self, app: App) -> None:
        assert post(app, "/v1/models/sums/versions/1:predict", {"instances": [[1, 1, 1]]}) == (
            200,
            {"predictions": [3.0]},
        )
        assert post(app, "/v1/models/sums/versions/2:predict", {"instances": [[1, 1, 1]]})[0] == 404

    @pytest.mark.parametrize(
        ("model", "document"),
        [
            ("sums", {}),
            ("sums", {"instances": []}),
            ("sums", {"instances": {}}),
            ("sums", {"instances": [[1, 2]]}),
            ("sums", {"instances": [["a", "b", "c"]]}),
            ("sums", {"instances": [[1, 2, 3], [1, 2]]}),
            ("sums", {"instances": [[[1], [2, 3]]]}),
            ("sums", {"instances": [None]}),
            ("sums", {"instances": None}),
            ("sums", {"instances": [1, 2, 3]}),
            ("two", {"instances": [{"a": [1, None], "b": [1, 2]}]}),
            ("people", {"instances": [30]}),
            ("people", {"instances": [{"age": {}, "height": 1, "name": "a"}]}),
            ("people", {"instances": [{"age": 1, "height": 1, "name": None}]}),
            ("sums", {"instances": [{"y": [1, 2, 3]}]}),
            ("sums", {"instances": [{"x": {"b64": "AAAA"}}]}),
            ("sums", {"instances": [[1, 2, 3]] * (MAX_INSTANCES + 1)}),
            ("two", {"instances": [[1, 2]]}),
            ("two", {"instances": [{"a": [1, 2]}]}),
            ("two", {"inputs": [1, 2]}),
            ("text", {"instances": [{"b64": "no base64!"}]}),
            ("text", {"instances": [1]}),
            ("half", {"instances": [[1.0]]}),
            ("digits", {"instances": ["no base64!"]}),
            ("digits", {"instances": [{"b64": 1}]}),
            ("digits", {"instances": [{"image_path": 1}]}),
            ("digits", {"instances": [{"b64": "AAAA"}], "parameters": {"top_k": "many"}}),
            ("digits", {"instances": [{"b64": "AAAA"}], "parameters": [1]}),
        ],
    )
    def test_what_does_not_fit_is_a_4xx(self, app: App, model: str, document: Any) -> None:
        status, answer = post(app, f"/v1/models/{model}:predict", document)
        assert 400 <= status < 500, answer
        assert set(answer) == {"error", "code"}

    def test_deep_nesting_is_a_4xx(self, app: App) -> None:
        for model in ("sums", "text"):
            body = b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}"
            assert post(app, f"/v1/models/{model}:predict", body)[0] == 400


class TestForms:
    """The forms of JSON that clients write."""

    def test_a_column_takes_a_bare_value_for_each_row(self, app: App) -> None:
        rows = [{"age": 30, "height": 1.5, "name": "Anna"}, {"age": [7], "height": None, "name": {"b64": b64(b"Bo")}}]
        expected = [
            {"older": [31], "taller": [2.5], "named": ["Anna"]},
            {"older": [8], "taller": [None], "named": ["Bo"]},
        ]
        assert v1(app, "people", instances=rows)["predictions"] == expected
        columns = {"age": [30.0, 7], "height": [[1.5], [None]], "name": ["Anna", "Bo"]}
        assert v1(app, "people", inputs=columns)["outputs"] == {
            "older": [[31], [8]],
            "taller": [[2.5], [None]],
            "named": [["Anna"], ["Bo"]],
        }
        nulled = {"instances": None, "parameters": None, "inputs": columns}
        assert "outputs" in v1(app, "people", **nulled)

    @pytest.mark.parametrize("path", ["/v1/models/doubles:predict", "/v2/models/doubles/infer", "/predict/doubles"])
    @pytest.mark.parametrize(
        "data", ["[null, NaN, 1]", "[NaN, Infinity, -Infinity]", "[1.5, null, -0.0]", "[9007199254740993, 1e308, 2]"]
    )
    def test_what_is_not_a_number_comes_to_the_model_as_it_is(self, app: App, path: str, data: str) -> None:
        tensor = f'{{"name": "x", "datatype": "FP64", "shape": [1, 3], "data": {data}}}'
        body = f'{{"inputs": [{tensor}]}}' if path.startswith("/v2") else f'{{"instances": [{data}]}}'
        status, answer = post(app, path, body.encode())
        assert status == 200, answer
        found = answer["outputs"][0]["data"] if path.startswith("/v2") else answer["predictions"][0]
        values = [math.nan if value is None else value for value in json.loads(data)]
        assert found == [math.isnan(value) + 2 * math.isinf(value) + 4 * (value == 1) for value in values]

    def test_a_row_without_its_brackets_is_one_row_where_it_can_be_nothing_else(self, app: App) -> None:
        assert predictions(app, "sums", [1, 2, 3]) == [6.0]
        assert predictions(app, "alone", [1, 2, 3]) == [6.0]
        assert predictions(app, "text", ["a", "b"]) == ["a", "b"]
        status, answer = post(app, "/v1/models/sums:predict", {"instances": [1, 2, 3]})
        assert (status, "each row needs its own brackets" in answer["error"]) == (400, True)
        assert 400 <= post(app, "/predict/sums", [1, 2])[0] < 500
        assert 400 <= post(app, "/predict/digits", [1, 2])[0] < 500

    def test_numbers_of_json_are_numbers_whatever_their_point(self, app: App) -> None:
        two = {"a": [1.0, 2e0], "b": [0, -0.0]}
        assert v1(app, "two", instances=[two])["predictions"] == [{"sum": [1, 2], "difference": [1, 2]}]
        status, answer = post(app, "/v1/models/two:predict", {"instances": [{"a": [1, 2.5], "b": [0, 0]}]})
        assert (status, answer["error"]) == (400, 'input "a": expected INT32 values, got 2.5 at position 1')
        top_k: Any
        for top_k in (2, 2.0, "2"):
            (row,) = v1(app, "digits", instances=[b64(picture())], parameters={"top_k": top_k})["predictions"]
            assert len(row["top"]) == 2
        for top_k in (2.5, 0.0, -1, True, [], "2.0"):
            document = {"instances": [b64(picture())], "parameters": {"top_k": top_k}}
            assert post(app, "/v1/models/digits:predict", document)[0] == 400

    def test_errors_speak_of_json_and_not_of_python(self, app: App) -> None:
        words: set[str] = set()
        documents: tuple[Any, ...] = (None, True, 1, "a", [], {})
        for document in documents:
            for body in (document, {"instances": document}, {"instances": [document]}, {"inputs": document}):
                for path in ("/v1/models/sums:predict", "/v2/models/sums/infer", "/predict/sums", "/invocations"):
                    words |= set(post(app, path, body)[1].get("error", "").replace(",", "").split())
        assert not words & {"NoneType", "dict", "str", "bool", "int", "float", "None", "True"}
        assert {"null", "boolean", "number", "string", "list", "object"} <= words


class TestColumns:
    def test_whole_tensors_in_whole_tensors_out(self, app: App) -> None:
        assert v1(app, "sums", inputs=[[1, 2, 3], [4, 5, 6]]) == {"outputs": [6.0, 15.0]}
        columns = {"a": [[1, 2], [5, 6]], "b": [[3, 4], [7, 8]]}
        expected = {"sum": [[4, 6], [12, 14]], "difference": [[-2, -2], [-2, -2]]}
        assert v1(app, "two", inputs=columns) == {"outputs": expected}

    def test_an_empty_batch_is_a_400(self, app: App) -> None:
        status, answer = post(app, "/v1/models/text:predict", {"inputs": []})
        assert (status, answer["code"]) == (400, "invalid_tensor")
        assert (
            answer["error"] == 'input "x": expected BYTES (n,), got BYTES (0,): each free dimension must be at least 1'
        )
