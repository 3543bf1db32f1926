import json

import numpy as np
import pytest

from onnxlet.clouds import aws_http
from onnxlet.protocols.v2 import parse_infer
from onnxlet_cli.bench.payloads import (
    HEADER_LENGTH,
    Array,
    check_close,
    function_url_event,
    photo,
    read_label,
    read_result,
    v2_binary,
    v2_json,
)
from onnxlet_cli.errors import WrongAnswerError

INPUTS: dict[str, Array] = {"x": np.arange(6, dtype=np.float32).reshape(1, 6), "ids": np.array([[1, 2]], np.int64)}


def test_a_binary_request_is_what_the_functions_read() -> None:
    body, headers = v2_binary(INPUTS)
    request = parse_infer(body, headers[HEADER_LENGTH])
    assert request.is_binary
    assert {name: bytes(tensor.buffer) for name, tensor in request.inputs.items()} == {
        name: array.tobytes() for name, array in INPUTS.items()
    }


def test_both_forms_say_the_same() -> None:
    body, headers = v2_binary(INPUTS)
    binary, text = parse_infer(body, headers[HEADER_LENGTH]), parse_infer(v2_json(INPUTS)[0])
    for name, tensor in binary.inputs.items():
        assert bytes(text.inputs[name].buffer) == bytes(tensor.buffer)
        assert text.inputs[name].shape == tensor.shape


def test_an_event_brings_the_body_as_it_is() -> None:
    body, headers = v2_binary(INPUTS)
    request = aws_http.to_request(json.loads(json.dumps(function_url_event("/v2/models/x/infer", body, headers))))
    assert (request.method, request.path, request.body) == ("POST", "/v2/models/x/infer", body)
    assert request.headers[HEADER_LENGTH] == headers[HEADER_LENGTH]


def test_another_status_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswerError, match="got 404: nothing here"):
        read_result({"statusCode": 404, "headers": {}, "body": "nothing here"})


def test_an_answer_may_be_off_by_rounding_alone() -> None:
    expected = np.array([1.0, 10.0], np.float32)
    check_close("x", expected + 0.01, expected)
    with pytest.raises(WrongAnswerError):
        check_close("x", expected + 0.1, expected)
    with pytest.raises(WrongAnswerError):
        check_close("x", expected + 0.01, expected, tolerance=1e-4)
    with pytest.raises(WrongAnswerError, match="expected 2 values, got 3"):
        check_close("x", np.zeros(3), expected)


def test_photos_are_jpegs_that_differ() -> None:
    assert photo(0) == photo(0)
    assert photo(0) != photo(1)
    assert photo(0).startswith(b"\xff\xd8\xff")


def test_a_result_names_its_first_label() -> None:
    assert read_label({"label": "cat"}) == "cat"
    assert read_label({"predictions": [{"top": [{"label": "cat"}, {"label": "dog"}]}]}) == "cat"
    with pytest.raises(WrongAnswerError, match="not an image"):
        read_label({"error": "not an image"})
