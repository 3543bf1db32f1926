"""The description at /openapi.json is what the code does, and whatever it allows to be sent is never a 5xx."""

import inspect
import io
import json
import re
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import numpy as np
import numpy.typing as npt
import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.http import HEADER_LENGTH, Request, Response
from onnxlet.media.media_types import MULTIPART, NPY, TEXT
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES, explain, generate, infer, invoke, predict, predict_v1, repository_index
from onnxlet.web.openapi import BINARY, JSON, SCHEMAS, describe
from onnxlet.web.routes import Endpoint, Route
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs

DOCUMENTS = [route for route in ROUTES if route.method == "GET" and route.gives != "File"]
"""The routes that give documents; files are looked at in test_playground and test_edge."""

EXAMPLES = 40
"""Of requests, for each route."""
HEALTH = list(HealthCheck)
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
DOCUMENT = describe(ROUTES)


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    named = {"text": graphs.identity(TensorProto.STRING), "two": graphs.two_inputs(), "sums": graphs.sums()}
    candidates = [graphs.candidate(name, proto) for name, proto in named.items()]
    candidates += [
        graphs.digits_candidate(),
        graphs.halves_candidate(),
        graphs.char_candidate(),
        graphs.generator_candidate(),
    ]
    publish_all(registry, candidates)
    return App(Settings(registry.store.url, "digits"), write_line=lambda _line: None)


@dataclass(frozen=True)
class Typical:
    """A request as users send it, to whichever route leads to its endpoint."""

    model: str
    body: Any
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    gives: str = JSON
    """The media type of its answer."""

    def request(self, pattern: str) -> Request:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return Request("POST", filled(pattern, self.model), body, {"content-type": self.media_type, **self.headers})


def filled(pattern: str, model: str) -> str:
    return pattern.replace("{model}", model).replace("{version}", "1")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 7).save(buffer, "PNG")
    return buffer.getvalue()


def npy(values: object) -> bytes:
    return npy_of(np.array(values, np.float32))


def npy_of(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(text: str) -> bytes:
    """A .npy file, version 2.0, of this header and no data."""
    header = text.encode()
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header


def in_parts(content: bytes, media_type: str) -> bytes:
    return b"--x\r\nContent-Type: %s\r\n\r\n%s\r\n--x--" % (media_type.encode(), content)


PICTURE = {"b64": b64encode(png()).decode()}
TENSORS = [{"name": name, "datatype": "INT32", "shape": [1, 2], "data": [5, 7]} for name in ("a", "b")]
INPUTS = {"inputs": TENSORS}
AS_BYTES = {**INPUTS, "parameters": {"binary_data_output": True}}
SUM_AND_BYTES = {**INPUTS, "id": "7", "outputs": [{"name": "sum", "parameters": {"binary_data": True}}]}
BY_NAME = {"a": [5, 7], "b": [1, 2]}
COLUMNS = {"inputs": {"a": [[5, 7]], "b": [[1, 2]]}}
ROWS = {"instances": [[1, 2, 3], [4, 5, 6]]}
RAW = {HEADER_LENGTH: "0"}

TYPICAL: dict[Endpoint, list[Typical]] = {
    infer: [
        Typical("two", INPUTS),
        Typical("two", AS_BYTES, gives=BINARY),
        Typical("two", SUM_AND_BYTES, gives=BINARY),
        Typical("sums", np.ones((2, 3), np.float32).tobytes(), BINARY, RAW, gives=BINARY),
    ],
    generate: [
        Typical("char", {"text_input": "ab", "length": 5, "temperature": 0.5, "top_k": 2, "seed": 3}),
        Typical("char", {"text_input": "ab", "parameters": {"length": 5}}),
        Typical("generator", {"count": 2, "seed": 3}),
        Typical("generator", {"seed": 3}, headers={"accept": "image/png"}, gives="image/png"),
    ],
    predict_v1: [
        Typical("sums", ROWS),
        Typical("two", {"instances": [BY_NAME]}),
        Typical("two", COLUMNS),
        Typical("digits", {"instances": [PICTURE], "parameters": {"top_k": 2}}),
    ],
    predict: [
        Typical("digits", png(), "image/png"),
        Typical("digits", png(), BINARY),
        Typical("digits", in_parts(png(), "image/png"), f"{MULTIPART}; boundary=x"),
        Typical("digits", npy(np.zeros((28, 28, 1))), NPY),
        Typical("digits", PICTURE),
        Typical("digits", PICTURE["b64"]),
        Typical("digits", {"instances": [PICTURE, PICTURE]}),
        Typical("digits", [PICTURE]),
    ],
    invoke: [
        Typical("", {"model": "two", **INPUTS}),
        Typical("", {"model": "two", **AS_BYTES}, gives=BINARY),
        Typical("", {"model": "two", **COLUMNS}),
        Typical("", {"model": "sums", **ROWS}),
        Typical("", png(), "image/png"),
    ],
    explain: [
        Typical("digits", png(), "image/png"),
        Typical("digits", png(), BINARY),
        Typical("digits", npy_of(np.zeros((28, 28, 1), np.uint8)), NPY),
        Typical("digits", {"instances": [PICTURE]}),
        Typical("digits", png(), "image/png", {"accept": "image/png"}, gives="image/png"),
        Typical("halves", [[1.5]]),
        Typical("halves", {"x": [1.5]}),
    ],
    repository_index: [Typical("", b"")],
}
"""For each endpoint that takes a POST."""

ONLY_WITH_A_NAME = [
    Typical("sums", npy([1, 2, 3]), NPY),
    Typical("sums", [[1, 2, 3]]),
    Typical("two", BY_NAME),
    Typical("text", b"good morning", TEXT),
    Typical("text", "good morning"),
]
"""Payloads that fit other models than the default one."""


def typical_of(route: Route) -> list[Typical]:
    has_name = route.endpoint is predict and "{model}" in route.pattern
    return [*TYPICAL[route.endpoint], *(ONLY_WITH_A_NAME if has_name else [])]


POSTS = [route for route in ROUTES if route.method == "POST"]


def label(value: object) -> str:
    """What a test of a route, or of a request, is called."""
    if isinstance(value, Route):
        return f"{value.method} {value.pattern}"
    assert isinstance(value, Typical)
    return f"{value.model} {value.media_type} {str(value.body)[:40]}"


def validate(schema: object, value: object) -> None:
    assert isinstance(schema, dict)
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, value)


def check_answer(route: Route, response: Response) -> None:
    """Hold an answer against what the description says of its route."""
    responses = DOCUMENT["paths"][route.pattern][route.method.lower()]["responses"]
    content = responses["200" if response.status == 200 else "default"]["content"]
    assert response.content_type in content
    if response.content_type == JSON:
        validate(content[JSON]["schema"], json.loads(response.body))


class TestDescription:
    def test_it_is_a_valid_openapi_document(self) -> None:
        openapi_spec_validator.validate(DOCUMENT)

    def test_a_function_with_keys_describes_how_they_are_shown_and_what_is_refused(self, app: App) -> None:
        document = json.loads(ask_gated(app, "/openapi.json", KEY))
        openapi_spec_validator.validate(document)
        assert document["security"] == [{"bearer": []}, {"apiKey": []}]
        assert document["components"]["securitySchemes"]["apiKey"]["name"] == "x-api-key"
        assert "security" not in DOCUMENT
        for item in document["paths"].values():
            for operation in item.values():
                assert {"401", "403", "429"} <= operation["responses"].keys()

    def test_the_header_of_binary_tensors_is_the_one_that_is_read(self) -> None:
        parameters = DOCUMENT["paths"]["/v2/models/{model}/infer"]["post"]["parameters"]
        assert HEADER_LENGTH in [each["name"] for each in parameters if each["in"] == "header"]

    def test_every_route_is_described_and_nothing_else(self) -> None:
        described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
        assert described == {(route.method, route.pattern) for route in ROUTES}

    @pytest.mark.parametrize("route", ROUTES, ids=label)
    def test_a_route_fits_its_endpoint(self, route: Any) -> None:
        named = set(re.findall(r"{(\w+)}", route.pattern))
        parameters = dict(list(inspect.signature(route.endpoint).parameters.items())[1:])
        required = {name for name, each in parameters.items() if each.default is inspect.Parameter.empty}
        assert required <= named <= set(parameters)
        assert route.gives in SCHEMAS
        assert route.takes in {"", *SCHEMAS}
        assert route.endpoint.__doc__

    @pytest.mark.parametrize("route", DOCUMENTS, ids=label)
    def test_an_answer_is_of_the_schema_that_is_promised(self, app: App, route: Route) -> None:
        response = app.handle(Request("GET", filled(route.pattern, "digits")))
        assert response.status == 200
        check_answer(route, response)

    @pytest.mark.parametrize(
        ("route", "typical"), [(route, each) for route in POSTS for each in typical_of(route)], ids=label
    )
    def test_a_typical_request_is_allowed_and_its_answer_is_promised(
        self, app: App, route: Route, typical: Typical
    ) -> None:
        operation = DOCUMENT["paths"][route.pattern]["post"]
        if route.takes:
            bodies = operation["requestBody"]["content"]
            assert typical.media_type.partition(";")[0] in bodies
            if typical.media_type == JSON:
                validate(bodies[JSON]["schema"], typical.body)
        response = app.handle(typical.request(route.pattern))
        assert (response.status, response.content_type) == (200, typical.gives), response.body[:500]
        check_answer(route, response)

    def test_a_function_that_is_not_ready_answers_as_an_error_is_described(self, app: App) -> None:
        unready = App(Settings(app.settings.registry, "nope"), write_line=lambda _line: None)
        (route,) = (route for route in ROUTES if route.pattern == "/v2/health/ready")
        response = unready.handle(Request("GET", route.pattern))
        assert response.status == 503
        check_answer(route, response)


KEY_ID, KEY = api_keys.generate()


def ask_gated(app: App, path: str, key: str) -> bytes:
    """The answer of a function that asks for a key."""
    store = app.service.traffic.models.registry.store
    keys = Keys([Key(KEY_ID, "Ada", api_keys.digest(KEY), datetime.now(UTC))])
    store.backend.put(layout.ACCESS_DOCUMENT, keys.to_json())
    gated = App(Settings(store.url, "digits", requires_keys=True), write_line=lambda _line: None)
    return gated.handle(Request("GET", path, b"", {"x-api-key": key})).body


Start = Callable[[str, list[tuple[str, str]]], object]


@pytest.fixture(scope="module")
def schema(app: App) -> Any:
    """The description as a WSGI server gives it, around the app."""

    def wsgi(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        names = [name for name in environ if name.startswith("HTTP_")]
        headers = {name[5:].replace("_", "-").lower(): environ[name] for name in names}
        headers.pop("accept-encoding", None)  # this client asks for what it does not decompress
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        body = environ.get("wsgi.input", io.BytesIO()).read(int(environ.get("CONTENT_LENGTH") or 0))
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        response = app.handle(Request(environ["REQUEST_METHOD"], path, body, headers, query))
        start(f"{response.status} X", [("content-type", response.content_type), *response.headers.items()])
        return [response.body]

    return schemathesis.openapi.from_wsgi("/openapi.json", wsgi)


KNOWN = ("digits", "halves", "two", "sums", "text", "char", "generator")


@pytest.mark.parametrize("is_known", [False, True], ids=["any model", "a model that is there"])
@pytest.mark.parametrize("route", ROUTES, ids=label)
def test_whatever_is_sent_is_answered_as_described(schema: Any, route: Any, is_known: bool) -> None:
    """Generated names hardly ever are those of models: a known one is put in, one after the other."""
    if is_known and "{model}" not in route.pattern:
        pytest.skip("names no model")

    @given(schema[route.pattern][route.method].as_strategy())
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=HEALTH)
    def ask(case: Any) -> None:
        if is_known:
            known = {"model": KNOWN[len(repr(case.body)) % len(KNOWN)], "version": "1"}
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        response = case.call()
        assert b"Traceback" not in response.content
        case.validate_response(response, checks=CHECKS)

    ask()


Path = tuple[str | int, ...]


def places(value: object, here: Path = ()) -> Iterable[Path]:
    """The way to every value inside of a JSON document, the document itself left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*here, key)
        yield from places(item, (*here, key))


def replaced(document: Any, place: Path, value: object) -> Any:
    changed = deepcopy(document)
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return changed


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
ODD = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4)
AT_EDGES = st.sampled_from([0, 1, -1, 2**31, 2**31 - 1, 2**63, -(2**63), 1e308, 1e-308, "", "0", "²", [], [[]], {}])


@pytest.mark.parametrize("route", [route for route in POSTS if route.takes], ids=label)
def test_one_wrong_value_in_a_good_request_is_answered_as_described(app: App, route: Route) -> None:
    """Nearly right requests come further than generated ones, which mostly are refused at their first field."""
    typical = [each for each in typical_of(route) if isinstance(each.body, dict | list)]

    @given(st.data())
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=HEALTH)
    def ask(data: st.DataObject) -> None:
        good = data.draw(st.sampled_from(typical))
        place = data.draw(st.sampled_from(list(places(good.body))))
        body = replaced(good.body, place, data.draw(ODD | AT_EDGES))
        request = Typical(good.model, body, good.media_type, good.headers).request(route.pattern)
        response = app.handle(request)
        assert response.status < 500, response.body
        check_answer(route, response)

    ask()


LONG_SHAPE = {**INPUTS, "inputs": [{**TENSORS[0], "shape": [2**31] * 500}, TENSORS[1]]}
PADDED = "000000001" + "9" * 5000
HEX = "0x" + "f" * 5000


@pytest.mark.parametrize(
    ("path", "body", "media_type", "query"),
    [
        pytest.param("/v2/models/two/infer", LONG_SHAPE, JSON, {}, id="a shape of any rank"),
        pytest.param("/predict", PICTURE, JSON, {"top_k": PADDED}, id="a count of any length"),
        pytest.param("/predict", PICTURE, JSON, {"top_k": "0000000011001"}, id="a count that begins with zeros"),
        pytest.param(
            "/predict/sums",
            npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({HEX},)}}"),
            NPY,
            {},
            id="a size of any length",
        ),
        pytest.param(
            "/predict/sums",
            npy_header(f"{{'descr': {HEX}, 'fortran_order': False, 'shape': (3,)}}"),
            NPY,
            {},
            id="a type of any length",
        ),
        pytest.param(
            "/predict/sums",
            npy_header("{'descr': '<f²', 'fortran_order': False, 'shape': (3,)}"),
            NPY,
            {},
            id="a digit that is none",
        ),
    ],
)
def test_a_number_that_python_does_not_take_is_a_4xx(
    app: App, path: str, body: Any, media_type: str, query: dict[str, str]
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, content, {"content-type": media_type}, query))
    assert 400 <= response.status < 500
