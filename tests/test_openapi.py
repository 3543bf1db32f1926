"""The description at /openapi.json is what the code does, and whatever it allows to be sent is never a 5xx."""

import inspect
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from onnxlet.app import App
from onnxlet.config import Settings
from onnxlet.endpoints import ROUTES
from onnxlet.http import Request
from onnxlet.openapi import SCHEMAS, describe
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from training.publish import publish_all

EXAMPLES = 40
"""Of requests, for each route."""
HEALTH = list(HealthCheck)
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    named = {"text": graphs.identity(TensorProto.STRING), "two": graphs.two_inputs(), "sums": graphs.sums()}
    candidates = [graphs.candidate(name, proto) for name, proto in named.items()]
    candidates += [graphs.digits_candidate(), graphs.char_candidate(), graphs.generator_candidate()]
    publish_all(registry, candidates)
    return App(Settings(registry.store.url, "digits"), write_line=lambda _line: None)


class TestDescription:
    def test_every_route_is_described_and_nothing_else(self) -> None:
        described = {(method.upper(), path) for path, item in describe(ROUTES)["paths"].items() for method in item}
        assert described == {(route.method, route.pattern) for route in ROUTES}

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
    def test_a_route_fits_its_endpoint(self, route: Any) -> None:
        named = set(re.findall(r"{(\w+)}", route.pattern))
        parameters = dict(list(inspect.signature(route.endpoint).parameters.items())[1:])
        required = {name for name, each in parameters.items() if each.default is inspect.Parameter.empty}
        assert required <= named <= set(parameters)
        assert route.gives in SCHEMAS
        assert route.takes in {"", *SCHEMAS}
        assert route.endpoint.__doc__

    @pytest.mark.parametrize(
        "route", [route for route in ROUTES if route.method == "GET"], ids=lambda each: each.pattern
    )
    def test_an_answer_is_of_the_schema_that_is_promised(self, app: App, route: Any) -> None:
        path = route.pattern.replace("{model}", "digits").replace("{version}", "1")
        response = app.handle(Request("GET", path))
        assert response.status == 200
        document = describe(ROUTES)
        schema = {"$ref": f"#/components/schemas/{route.gives}", "components": document["components"]}
        jsonschema_rs.validate(schema, json.loads(response.body))


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


KNOWN = ("digits", "two", "sums", "text", "char", "generator")


@pytest.mark.parametrize("is_known", [False, True], ids=["any model", "a model that is there"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_whatever_is_sent_is_answered_as_described(schema: Any, route: Any, is_known: bool) -> None:
    """Generated names hardly ever are those of models: a known one is put in, one after the other."""
    if is_known and "{model}" not in route.pattern:
        pytest.skip("names no model")

    @given(schema[route.pattern][route.method].as_strategy())
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=HEALTH)
    def ask(case: Any) -> None:
        if is_known:
            case.path_parameters["model"] = KNOWN[len(repr(case.body)) % len(KNOWN)]
        response = case.call()
        assert b"Traceback" not in response.content
        case.validate_response(response, checks=CHECKS)

    ask()
