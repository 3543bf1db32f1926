import http.client
import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from onnxlet_cli.local.function_url import MAX_EVENT_BYTES, serve_function_url
from onnxlet_cli.local.runtime_api import FunctionError


def echo(event: Any) -> Any:
    """A function that gives its event back, or what the path asks for."""
    if event["rawPath"] == "/raise":
        raise FunctionError("boom")
    if event["rawPath"] == "/nonsense":
        return ["nonsense"]
    if event["rawPath"] == "/binary":
        return {"statusCode": 201, "headers": {"x-one": "1"}, "body": "/wA=", "isBase64Encoded": True}
    return {"statusCode": 200, "body": json.dumps(event)}


@pytest.fixture(scope="module")
def connection() -> Iterator[http.client.HTTPConnection]:
    with serve_function_url(echo) as url:
        yield http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)


def send(
    connection: http.client.HTTPConnection, path: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST" if body is not None else "GET", path, body, names)
    return connection.getresponse()


def event_of(reply: http.client.HTTPResponse) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(reply.read())
    return event


def test_path_and_query_arrive_as_they_were_sent(connection: http.client.HTTPConnection) -> None:
    event = event_of(send(connection, "/a%20b/%2e?x=1&y=%20"))
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b/%2e", "x=1&y=%20")
    assert event["requestContext"]["http"]["method"] == "GET"
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


@pytest.mark.parametrize("media_type", ["application/json", "text/csv; charset=utf-8", "image/svg+xml"])
def test_text_arrives_as_text(connection: http.client.HTTPConnection, media_type: str) -> None:
    event = event_of(send(connection, "/", "é".encode(), content_type=media_type))
    assert (event["body"], event["isBase64Encoded"]) == ("é", False)


@pytest.mark.parametrize("headers", [{}, {"content_type": "image/png"}, {"content_type": "application/octet-stream"}])
def test_anything_else_arrives_as_base64(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    event = event_of(send(connection, "/", b"\xff\x00", **headers))
    assert (b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xff\x00", True)


def test_text_that_is_none_arrives_as_base64(connection: http.client.HTTPConnection) -> None:
    assert event_of(send(connection, "/", b"\xff", content_type="application/json"))["isBase64Encoded"] is True


def test_header_names_arrive_in_lower_case(connection: http.client.HTTPConnection) -> None:
    assert event_of(send(connection, "/", X_One="A"))["headers"]["x-one"] == "A"


def test_a_binary_result_is_sent_as_its_bytes(connection: http.client.HTTPConnection) -> None:
    reply = send(connection, "/binary")
    assert (reply.status, reply.headers["x-one"], reply.read()) == (201, "1", b"\xff\x00")


@pytest.mark.parametrize("path", ["/raise", "/nonsense"])
def test_a_function_that_fails_is_a_502(connection: http.client.HTTPConnection, path: str) -> None:
    reply = send(connection, path)
    assert (reply.status, json.loads(reply.read())) == (502, {"Message": "Internal Server Error"})


@pytest.mark.parametrize("size_bytes", [MAX_EVENT_BYTES + 1, MAX_EVENT_BYTES * 3 // 4])
def test_an_event_over_lambdas_limit_is_a_413(connection: http.client.HTTPConnection, size_bytes: int) -> None:
    # three quarters of the limit are the whole of it in base64
    reply = send(connection, "/", bytes(size_bytes), content_type="image/png")
    assert reply.status == 413
    reply.read()


def test_a_body_of_unknown_length_is_a_411(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status == 411
    reply.read()
