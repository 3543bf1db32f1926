"""The description at /openapi.json is what the code does, and whatever it allows to be sent is never a 5xx."""

import io
import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qsl

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from onnxlet.http import JSON, Request
from onnxlet.media.media_types import NPY
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet.web.routes import Route
from tests.helpers.typical_requests import (
    INPUTS,
    PICTURE,
    POSTS,
    TENSORS,
    Typical,
    check_answer,
    label,
    npy_header,
    operation_of,
    typical_app,
    typical_of,
)

EXAMPLES = 40
"""Of requests, for each route."""
HEALTH = list(HealthCheck)
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


@pytest.fixture(scope="module")
def app() -> App:
    return typical_app()


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


@pytest.mark.parametrize("route", [route for route in POSTS if "requestBody" in operation_of(route)], ids=label)
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
