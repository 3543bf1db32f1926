import json
import math
from pathlib import Path
from typing import Any

import pytest

from onnxlet.clouds import aws_http
from onnxlet.errors import InvalidRequestError
from onnxlet.http import Request, Response
from onnxlet.media.json_body import parse_json

EVENTS = Path(__file__).parents[2] / "events"


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return document


@pytest.mark.parametrize(
    "name", ["aws_function_url", "aws_http_api_stage", "aws_rest_api", "aws_alb", "aws_alb_multi_value"]
)
def test_every_form_of_http_is_the_same_request(name: str) -> None:
    request = aws_http.to_request(load(name))
    assert (request.method, request.path) == ("POST", "/predict/digits@beta")
    assert request.body == b"\x89PNG\r\n\x1a\n"
    assert request.headers["content-type"] == "image/png"
    assert request.query == {"top_k": "3", "tag": "a b", "empty": ""}


def test_of_a_parameter_that_is_given_twice_the_first_counts() -> None:
    # as in Flask, and so on GCP
    assert aws_http.to_request({**load("aws_function_url"), "rawQueryString": "a=1&b=2&a=3"}).query == {
        "a": "1",
        "b": "2",
    }


@pytest.mark.parametrize("name", ["aws_rest_api", "aws_alb_multi_value"])
def test_repeated_headers_are_a_list_and_cookies_are_passed_over(name: str) -> None:
    event = load(name)
    event["multiValueHeaders"] |= {"Accept-Encoding": ["gzip", "br;q=0.1"], "accept-encoding": ["*"], "X": ["\xe9"]}
    event["multiValueHeaders"]["Cookie"] = ["a=1", "b=2"]
    found = aws_http.to_request(event).headers
    assert found["accept-encoding"] == "gzip, br;q=0.1, *"
    assert found["x"] == "\xe9"
    assert "cookie" not in found
    assert "cookie" not in aws_http.to_request({**load("aws_http_api_v2"), "cookies": ["a=1"]}).headers


def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands() -> None:
    """Lambda's runtime reads events with a reader that lets it pass; no log and no header can be written with it."""
    for changed in (
        {"httpMethod": "GET\ud800"},
        {"path": "/v2/\ud800"},
        {"multiValueHeaders": {"x-request-id": ["\ud800"]}},
        {"body": "\ud800", "isBase64Encoded": False},
        {"requestContext": {"requestId": "\ud800"}},
    ):
        with pytest.raises(InvalidRequestError):
            aws_http.to_request({**load("aws_rest_api"), **changed})
    with pytest.raises(InvalidRequestError):
        aws_http.to_request({"instances": ["\ud800"]})


def test_a_direct_invocation_may_hold_what_json_has_no_form_for() -> None:
    event = {"instances": [[math.inf, -math.inf, None, 1.5]]}
    assert parse_json(aws_http.to_request(event).body) == event


@pytest.mark.parametrize("name", ["aws_rest_api_base_path", "aws_http_api_base_path"])
def test_a_custom_domains_base_path_is_not_part_of_the_path(name: str) -> None:
    request = aws_http.to_request(load(name))
    assert (request.base_path, request.path) == ("/ml", "/v2/models/digits@beta/infer")


@pytest.mark.parametrize(
    "changed",
    [
        {"resource": "/v2/{proxy+}"},
        {"resource": None},
        {"pathParameters": None},
        {"pathParameters": {"proxy": "elsewhere"}},
        {"pathParameters": {"proxy": ""}},
    ],
)
def test_another_route_says_nothing_of_a_base_path(changed: dict[str, Any]) -> None:
    event = load("aws_rest_api_base_path")
    assert aws_http.to_request({**event, **changed}).path == event["path"]


def test_a_load_balancer_takes_less_back() -> None:
    assert aws_http.to_request(load("aws_alb")).response_limit_bytes == aws_http.MAX_BALANCED_BYTES
    assert aws_http.to_request(load("aws_rest_api")).response_limit_bytes is None


def test_the_platforms_name_of_a_request_is_kept() -> None:
    assert aws_http.to_request(load("aws_function_url")).id == load("aws_function_url")["requestContext"]["requestId"]


@pytest.mark.parametrize("event", [{"instances": [1]}, {"inputs": {"a": [1]}, "model": "m"}])
def test_a_bare_body_is_a_direct_invocation(event: dict[str, Any]) -> None:
    request = aws_http.to_request(event)
    assert (request.method, request.path, json.loads(request.body)) == ("POST", "/invocations", event)
    assert aws_http.from_response(Response(400, b'{"error":"x"}'), event) == {"error": "x"}
    assert aws_http.from_response(Response(200, b"\0", "image/png"), event)["isBase64Encoded"]


def test_an_http_api_event_is_a_request() -> None:
    request = aws_http.to_request(load("aws_http_api_v2"))
    assert request.path == "/v2/models/digits/infer"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"inputs": [], "id": "ü"}


@pytest.mark.parametrize("absent", ["body", "headers", "rawQueryString"])
def test_what_a_request_need_not_have_may_be_absent_or_null(absent: str) -> None:
    event = load("aws_function_url")
    for value in (None, ...):
        event[absent] = value
        if value is ...:
            del event[absent]
        assert isinstance(aws_http.to_request(event), Request)


@pytest.mark.parametrize("body", ["!!!", "iVBORw0KGgo", "ü", "iVBO\nRw0KGgo="])
def test_a_body_that_is_not_the_base64_it_claims_to_be_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequestError, match="base64"):
        aws_http.to_request({**load("aws_function_url"), "body": body})


@pytest.mark.parametrize(
    "event", [{}, {"requestContext": {}}, {"requestContext": None}, {"Records": []}, {"httpMethod": "GET"}]
)
def test_another_event_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="expected an HTTP event"):
        aws_http.to_request(event)


def test_json_goes_as_text_and_anything_else_as_base64() -> None:
    event = load("aws_function_url")
    assert aws_http.from_response(Response(404, '{"é": 1}'.encode()), event) == {
        "statusCode": 404,
        "headers": {"content-type": "application/json"},
        "body": '{"é": 1}',
        "isBase64Encoded": False,
    }
    binary = aws_http.from_response(Response(200, b"\xff\x00", "application/octet-stream", {"x-one": "1"}), event)
    assert (binary["body"], binary["isBase64Encoded"], binary["headers"]["x-one"]) == ("/wA=", True, "1")


def test_a_load_balancer_gets_headers_in_the_form_it_sent() -> None:
    response = Response(200, b"{}", headers={"x-one": "1"})
    many = aws_http.from_response(response, load("aws_alb_multi_value"))
    assert many["multiValueHeaders"] == {"content-type": ["application/json"], "x-one": ["1"]}
    assert "multiValueHeaders" not in aws_http.from_response(response, load("aws_alb"))
