"""Nothing that a client sends is in the log but its name for the request; no key, and no URL that opens anything."""

import gzip
import json
import logging
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from onnxlet.clouds import aws_events
from onnxlet.contract import api_keys, layout
from onnxlet.contract.alias import SHADOW
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.errors import OnnxletError
from onnxlet.events import objects
from onnxlet.events.messages import Inline, Message
from onnxlet.http import Request
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet_publishing.publish import publish, publish_all
from tests.conftest import BUCKET
from tests.helpers import graphs
from tests.helpers.typical_requests import filled

MARKER = "m4rk3r"
"""In whatever a client sends."""


@pytest.fixture(scope="module")
def store() -> Store:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    named = {"text": graphs.identity(TensorProto.STRING), "two": graphs.two_inputs()}
    candidates = [graphs.candidate(name, proto) for name, proto in named.items()]
    publish_all(registry, [*candidates, graphs.digits_candidate(), graphs.char_candidate()])
    version = publish(registry, graphs.candidate("text", graphs.identity(TensorProto.STRING)), alias=None).version
    registry.share("text", version, SHADOW, 1)  # its answers are what the client sent
    return registry.store


@pytest.fixture
def key(store: Store) -> str:
    key_id, text = api_keys.generate()
    found = Key(key_id, "Ada", api_keys.digest(text), datetime.now(UTC))
    store.backend.put(layout.API_KEYS_DOCUMENT, Keys([found]).to_json())
    return text


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[list[Any]], str]:
    """Gives all that was logged: the lines of requests, those of Python's own log, and what native code has printed."""
    caplog.set_level(logging.DEBUG)
    formatter = logging.Formatter("%(message)s")

    def read(lines: list[Any]) -> str:
        records = "\n".join(formatter.format(record) for record in caplog.records if record.name != "werkzeug")
        return "\n".join([*map(json.dumps, lines), records, *capfd.readouterr()])

    return read


def bodies() -> Iterator[bytes]:
    """Payloads with the marker in every place that is read."""
    text = {"name": "x", "datatype": "BYTES", "shape": [1], "data": [MARKER]}
    yield json.dumps({"inputs": [text], "id": MARKER, "parameters": {MARKER: MARKER}}).encode()
    yield json.dumps({"inputs": [{**text, "name": MARKER, "datatype": MARKER, "shape": MARKER}]}).encode()
    yield json.dumps({"instances": [MARKER, {MARKER: MARKER}], "parameters": {"top_k": MARKER}}).encode()
    yield json.dumps({"instances": [MARKER], "model": "text"}).encode()
    yield json.dumps({"inputs": [{**text, "outputs": [{"name": MARKER}]}], "model": MARKER}).encode()
    yield json.dumps({"text_input": MARKER, "length": MARKER, MARKER: 1}).encode()
    yield json.dumps({"image_path": f"s3://{MARKER}/{MARKER}"}).encode()
    yield json.dumps({"b64": b64encode(MARKER.encode()).decode() + MARKER}).encode()
    yield f"{MARKER}{{".encode()
    yield MARKER.encode()
    yield b"\x89PNG\r\n\x1a\n" + MARKER.encode()
    yield b"--x\r\nContent-Type: text/%s\r\n\r\n%s\r\n--x--" % ((MARKER.encode(),) * 2)
    yield gzip.compress(MARKER.encode())


MEDIA_TYPES = ("", "application/json", "text/plain", "image/png", "multipart/form-data; boundary=x", f"text/{MARKER}")


def requests(route: Any, shown: dict[str, str]) -> Iterator[Request]:
    """Requests to a route, by which the marker is in its path, its query, its headers and its body."""
    query = {"top_k": MARKER, MARKER: MARKER}
    odd = {"accept": MARKER, "onnxlet-key": MARKER, "traceparent": MARKER, "user-agent": MARKER, "cookie": MARKER}
    for model in ("text", "digits", MARKER, f"text@{MARKER}"):
        path = filled(route.pattern, model)
        yield Request(route.method, path, b"", {**odd, **shown}, query)
        yield Request(route.method, f"{path}/{MARKER}", b"", {**odd, **shown}, query)
        yield Request(route.method, path, b"", {**shown, "content-encoding": MARKER, HEADER_LENGTH: MARKER}, query)
        if route.method == "POST":
            for body in bodies():
                for media_type in MEDIA_TYPES:
                    yield Request(route.method, path, body, {**odd, **shown, "content-type": media_type})


@pytest.mark.parametrize("requires_keys", [False, True], ids=["open", "keys"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_no_part_of_a_request_is_in_the_log(
    store: Store, key: str, logged: Callable[[list[Any]], str], route: Any, requires_keys: bool
) -> None:
    lines: list[Any] = []
    app = App(Settings(store.url, "text", requires_keys=requires_keys), lines.append)
    shown = ({"authorization": f"Bearer {key}"}, {"x-api-key": f"{key}{MARKER}"}) if requires_keys else ({},)
    for headers in shown:
        for request in requests(route, headers):
            app.handle(request)
    assert lines
    text = logged(lines)
    assert MARKER not in text
    assert key not in text
    assert key.rpartition("_")[2] not in text


def test_a_shadow_is_logged_without_what_the_client_sent(store: Store, logged: Callable[[list[Any]], str]) -> None:
    lines: list[Any] = []
    app = App(Settings(store.url, "text"), lines.append)
    assert (
        MARKER.encode() in app.handle(Request("POST", "/predict", MARKER.encode(), {"content-type": "text/plain"})).body
    )
    assert lines[1]["shadow_status"] == 200
    assert MARKER not in logged(lines)


def test_an_error_that_is_not_ours_is_logged_by_its_kind_and_its_way(
    store: Store, logged: Callable[[list[Any]], str]
) -> None:
    """Python's own texts quote what they stumble on."""

    def broken(event: dict[str, Request]) -> Request:
        try:
            return event[MARKER]
        except KeyError as error:
            raise ValueError(f"invalid literal: {MARKER}") from error

    lines: list[Any] = []
    response = App(Settings(store.url), lines.append).handle({}, broken)
    assert (response.status, MARKER.encode() in response.body) == (500, False)
    text = logged(lines)
    assert MARKER not in text
    assert "an error inside the function: ValueError at test_log.py:" in text
    assert " in broken < app.py:" in text
    assert "; caused by KeyError at test_log.py:" in text


def test_neither_is_one_in_an_object_or_a_message(logged: Callable[[list[Any]], str]) -> None:
    class Broken(Service):
        def find(self, *_arguments: object, **_named: object) -> Any:
            raise ValueError(MARKER)

    lines: list[Any] = []
    message = Message("1", (Inline("topic/messages/1", "messages/1", MARKER.encode(), f"text/{MARKER}"),))
    service = Broken(Settings("memory://x", "text", f"memory://{uuid.uuid4()}"))
    assert objects.answer(service, [message], lines.append) == ["1"]
    with pytest.raises(OnnxletError, match="see the function's log"):
        objects.tally(service, message.sources, lines.append)
    assert [line["code"] for line in lines] == ["internal", "internal"]
    text = logged(lines)
    assert MARKER not in text
    assert "an error inside the function: ValueError at test_log.py:" in text


@pytest.mark.parametrize("body", list(bodies()))
def test_no_part_of_a_message_is_in_the_log(store: Store, logged: Callable[[list[Any]], str], body: bytes) -> None:
    lines: list[Any] = []
    service = Service(Settings(store.url, "digits", f"memory://{uuid.uuid4()}"))
    for media_type in MEDIA_TYPES:
        objects.answer(
            service, [Message("1", (Inline("topic/messages/1", "messages/1", body, media_type),))], lines.append
        )
    unreadable = {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": body.decode("latin-1")}]}
    objects.answer(service, aws_events.to_messages(unreadable), lines.append)
    assert MARKER not in logged(lines)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_no_url_that_opens_an_answer_is_in_the_log(
    store: Store, storage: StorageSettings, logged: Callable[[list[Any]], str], scheme: str
) -> None:
    lines: list[Any] = []
    results = f"{scheme}://{BUCKET}/{uuid.uuid4()}"
    app = App(Settings(store.url, "text", results, storage=storage, platform="lambda"), lines.append)
    text = b"".join(len(each).to_bytes(4, "little") + each for each in [b"x" * 7_000_000])
    document = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(text)}}
    head = json.dumps({"inputs": [document]}).encode()
    response = app.handle(Request("POST", "/v2/models/text/infer", head + text, {HEADER_LENGTH: str(len(head))}))
    answer = json.loads(response.body)
    assert answer["code"] == "spilled"
    assert (answer["url"] is None) == (scheme == "gs"), "this Cloud Storage signs nothing"
    found = logged(lines)
    assert "Signature" not in found
    assert "://localhost" not in found


def test_credentials_are_not_in_the_log_of_a_store_that_refuses_them(logged: Callable[[list[Any]], str]) -> None:
    lines: list[Any] = []
    app = App(Settings("s3://bucket", "digits", storage=StorageSettings("http://127.0.0.1:9")), lines.append)
    app.warm_up()
    app.handle(Request("POST", "/predict", np.zeros(1).tobytes()))
    text = logged(lines)
    assert "the default model was not loaded" in text
    assert "Credential=" not in text
    assert "Signature" not in text
