import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cloudevents.http import CloudEvent, from_json
from flask import Flask, request

from onnxlet.clouds import gcp
from onnxlet.errors import InvalidRequestError, TooLargeError
from onnxlet.events.sources import Inline, Message, ObjectReference
from onnxlet.http import Request, Response
from onnxlet.limits import MAX_BODY_BYTES as MAX

EVENTS = Path(__file__).parents[2] / "events"
EVENT = (EVENTS / "gcp_storage_finalized.json").read_text()
PUBSUB_EVENT = (EVENTS / "gcp_pubsub_storage.json").read_text()
OBJECT = ObjectReference("gs", "onnxlet-input", "in/a photo of 100% café+1.png", "1768213230123456")


def translate(**arguments: Any) -> Request:
    with Flask("test").test_request_context(**arguments):
        return gcp.to_request(request)


def test_entry_points_are_registered_with_the_framework_that_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from functions_framework import _function_registry

    found: dict[str, str] = {}
    monkeypatch.setattr(_function_registry, "REGISTRY_MAP", found)

    def answer() -> None: ...
    def look() -> None: ...
    def listen() -> None: ...

    gcp.register(answer, look, listen)
    assert found == {"answer": "http", "look": "cloudevent", "listen": "cloudevent"}


def test_nothing_is_imported_where_another_runtime_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "functions_framework", raising=False)
    gcp.register(test_a_flask_request_is_a_request)
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
            gcp.to_request(request)
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
        assert MAX < len(gcp.to_request(request).body) <= MAX + gcp.DRAINED_BYTES


def test_a_body_that_is_not_kept_is_read_to_its_end() -> None:
    with Flask("test").test_request_context(method="POST", data=bytes(3 * gcp.DRAINED_BYTES)):
        gcp.from_response(Response(413, b"{}"), request)
        assert request.get_data() == b""


def test_repeated_headers_are_a_list_and_cookies_are_passed_over() -> None:
    headers = [("Accept", "image/png"), ("accept", "text/html"), ("Cookie", "a=1"), ("X-One", "\xe9")]
    found = translate(path="/", headers=headers).headers
    assert (found["accept"].replace(", ", ","), found["x-one"]) == ("image/png,text/html", "\xe9")
    assert "cookie" not in found


def test_flask_takes_the_response() -> None:
    app = Flask("test")
    app.add_url_rule("/", view_func=lambda: gcp.from_response(Response(404, b'{"error":"x"}')))
    reply = app.test_client().get("/")
    assert (reply.status_code, reply.data, reply.headers["content-type"]) == (404, b'{"error":"x"}', "application/json")


def test_a_cloud_event_names_the_object_as_it_is() -> None:
    assert gcp.to_object(from_json(EVENT)) == Message(None, (OBJECT,))


def test_a_notification_through_pubsub_names_it_too() -> None:
    event = json.loads(PUBSUB_EVENT)
    assert gcp.to_message(from_json(PUBSUB_EVENT)) == Message(None, (OBJECT,))
    event["data"]["message"]["attributes"]["eventType"] = "OBJECT_DELETE"
    assert gcp.to_message(from_json(json.dumps(event))) == Message(None)


@pytest.mark.parametrize(
    "attributes",
    [
        {"eventType": "order.created"},
        {"eventType": "OBJECT_FINALIZE"},
        {"eventType": "OBJECT_FINALIZE", "bucketId": "b"},
        {"eventType": "OBJECT_DELETE", "objectId": "a"},
        {"eventType": "order.created", "bucketId": "b", "objectId": "a"},
        {"bucketId": "b", "objectId": "a"},
        {},
    ],
)
def test_a_message_with_attributes_of_a_users_own_is_a_payload(attributes: dict[str, str]) -> None:
    event = json.loads(PUBSUB_EVENT)
    for name, media_type in (("", ""), ("content-type", "a/b"), ("Content-Type", "a/b"), ("CONTENT-TYPE", "a/b")):
        event["data"]["message"]["attributes"] = {**attributes, **({name: media_type} if name else {})}
        (source,) = gcp.to_message(from_json(json.dumps(event))).sources
        assert isinstance(source, Inline)
        assert (source.body, source.media_type) == (b'{"kind": "storage#object"}', media_type)


def test_the_payload_sample_is_json_of_a_users_own() -> None:
    (source,) = gcp.to_message(from_json((EVENTS / "gcp_pubsub_payload.json").read_text())).sources
    assert isinstance(source, Inline)
    assert source.media_type == "application/json"


@pytest.mark.parametrize("generation", [1768213230123456, "1768213230123456"])
def test_a_generation_may_be_a_number(generation: object) -> None:
    event = json.loads(EVENT)
    event["data"]["generation"] = generation
    assert gcp.to_object(from_json(json.dumps(event))).sources == (OBJECT,)
    event = json.loads(PUBSUB_EVENT)
    event["data"]["message"]["attributes"]["objectGeneration"] = generation
    assert gcp.to_message(from_json(json.dumps(event))).sources == (OBJECT,)


def test_an_event_that_came_to_the_other_function_is_read_all_the_same() -> None:
    assert gcp.to_object(from_json(PUBSUB_EVENT)) == gcp.to_message(from_json(PUBSUB_EVENT))
    assert gcp.to_message(from_json(EVENT)) == gcp.to_object(from_json(EVENT))


@pytest.mark.parametrize("kind", ["google.cloud.audit.log.v1.written", "com.example.created"])
def test_an_event_of_another_service_is_not_swallowed(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"got {kind}"):
        gcp.to_object(from_json(json.dumps({**json.loads(EVENT), "type": kind})))
    deleted = {**json.loads(EVENT), "type": "google.cloud.storage.object.v1.deleted"}
    assert gcp.to_object(from_json(json.dumps(deleted))) == Message(None)


@pytest.mark.parametrize("data", [None, {}, {"message": {}}, {"message": {"attributes": {"eventType": 1}}}])
def test_another_message_is_refused_or_names_nothing(data: Any) -> None:
    attributes = {name: value for name, value in json.loads(PUBSUB_EVENT).items() if name in {"type", "source"}}
    try:
        assert gcp.to_message(CloudEvent(attributes, data)).sources == ()
    except InvalidRequestError as error:
        assert "Pub/Sub" in str(error)


@pytest.mark.parametrize("data", [None, {}, {"bucket": "b"}, "text", []])
def test_another_event_is_refused(data: Any) -> None:
    attributes = {name: value for name, value in json.loads(EVENT).items() if name in {"type", "source"}}
    with pytest.raises(InvalidRequestError, match=r"data\.bucket"):
        gcp.to_object(CloudEvent(attributes, data))
