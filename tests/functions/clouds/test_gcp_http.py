import io
import sys
from typing import Any

import pytest
from flask import Flask, request

from onnxlet.clouds import gcp_http
from onnxlet.errors import TooLargeError
from onnxlet.http import Request, Response
from onnxlet.limits import MAX_BODY_BYTES as MAX


def translate(**arguments: Any) -> Request:
    with Flask("test").test_request_context(**arguments):
        return gcp_http.to_request(request)


def test_entry_points_are_registered_with_the_framework_that_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from functions_framework import _function_registry

    found: dict[str, str] = {}
    monkeypatch.setattr(_function_registry, "REGISTRY_MAP", found)

    def answer() -> None: ...
    def look() -> None: ...
    def listen() -> None: ...

    gcp_http.register(answer, look, listen)
    assert found == {"answer": "http", "look": "cloudevent", "listen": "cloudevent"}


def test_nothing_is_imported_where_another_runtime_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "functions_framework", raising=False)
    gcp_http.register(test_a_flask_request_is_a_request)
    assert "functions_framework" not in sys.modules


def test_a_flask_request_is_a_request() -> None:
    found = translate(
        path="/predict/digits%40beta?top_k=3&tag=a%20b",
        method="POST",
        data=b"\x89PNG",
        headers={"Content-Type": "image/png"},
    )
    assert (found.method, found.path, found.body) == ("POST", "/predict/digits@beta", b"\x89PNG")
    assert found.headers["content-type"] == "image/png"
    assert found.query == {"top_k": "3", "tag": "a b"}


def test_of_a_parameter_that_is_given_twice_the_first_counts() -> None:
    assert translate(path="/?a=1&b=2&a=3").query == {"a": "1", "b": "2"}


def test_a_form_is_not_parsed_away() -> None:
    found = translate(method="POST", data=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert found.body == b"a=1"


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    environment = {"wsgi.input": io.BytesIO(b"a body"), "CONTENT_LENGTH": str(MAX + 1)}
    with Flask("test").test_request_context(method="POST", environ_overrides=environment):
        with pytest.raises(TooLargeError):
            gcp_http.to_request(request)
        assert request.environ["wsgi.input"].tell() == 0


def test_a_body_of_unknown_length_is_read_up_to_the_limit() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    environment = {"wsgi.input": Endless(), "wsgi.input_terminated": True, "REQUEST_METHOD": "POST"}
    with Flask("test").test_request_context(environ_overrides=environment):
        assert MAX < len(gcp_http.to_request(request).body) <= MAX + gcp_http.CHUNK_BYTES


def test_a_body_that_is_not_kept_is_read_to_its_end() -> None:
    with Flask("test").test_request_context(method="POST", data=bytes(3 * gcp_http.CHUNK_BYTES)):
        gcp_http.from_response(Response(413, b"{}"), request)
        assert request.get_data() == b""


def test_repeated_headers_are_a_list_and_cookies_are_passed_over() -> None:
    headers = [("Accept", "image/png"), ("accept", "text/html"), ("Cookie", "a=1"), ("X-One", "\xe9")]
    found = translate(path="/", headers=headers).headers
    assert (found["accept"].replace(", ", ","), found["x-one"]) == ("image/png,text/html", "\xe9")
    assert "cookie" not in found


def test_flask_takes_the_response() -> None:
    app = Flask("test")
    app.add_url_rule("/", view_func=lambda: gcp_http.from_response(Response(404, b'{"error":"x"}')))
    reply = app.test_client().get("/")
    assert (reply.status_code, reply.data, reply.headers["content-type"]) == (404, b'{"error":"x"}', "application/json")
