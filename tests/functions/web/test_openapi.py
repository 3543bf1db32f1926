import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import openapi_spec_validator
import pytest

from onnxlet import limits
from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.contract.tensors import DATATYPES
from onnxlet.errors import OnnxletError
from onnxlet.http import JSON, Request
from onnxlet.media.media_types import MEDIA_TYPES, MULTIPART
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.settings import Settings
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet.web.openapi import describe
from onnxlet.web.routes import Route
from tests.helpers.typical_requests import (
    BINARY,
    DOCUMENT,
    POSTS,
    Typical,
    answers_of,
    check_answer,
    filled,
    label,
    operation_of,
    resolved,
    typical_app,
    typical_of,
    validate,
)

DOCUMENTS = [route for route in ROUTES if route.method == "GET" and "*/*" not in answers_of(route)]
"""The routes that give documents; files are looked at in test_playground and test_edge."""


@pytest.fixture(scope="module")
def app() -> App:
    return typical_app()


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
        parameters = map(resolved, DOCUMENT["paths"]["/v2/models/{model}/infer"]["post"]["parameters"])
        assert HEADER_LENGTH in [parameter["name"] for parameter in parameters if parameter["in"] == "header"]

    def test_every_route_is_described_and_nothing_else(self) -> None:
        described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
        assert described == {(route.method, route.pattern) for route in ROUTES}

    @pytest.mark.parametrize("route", ROUTES, ids=label)
    def test_a_route_fits_its_endpoint(self, route: Any) -> None:
        named = set(re.findall(r"{(\w+)}", route.pattern))
        parameters = dict(list(inspect.signature(route.endpoint).parameters.items())[1:])
        required = {name for name, each in parameters.items() if each.default is inspect.Parameter.empty}
        assert required <= named <= set(parameters)
        described = [resolved(parameter) for parameter in operation_of(route).get("parameters", [])]
        assert {parameter["name"] for parameter in described if parameter["in"] == "path"} == named

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
        operation = operation_of(route)
        if "requestBody" in operation:
            bodies = resolved(operation["requestBody"])["content"]
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
    store.backend.put(layout.API_KEYS_DOCUMENT, keys.to_json())
    gated = App(Settings(store.url, "digits", requires_keys=True), write_line=lambda _line: None)
    return gated.handle(Request("GET", path, b"", {"x-api-key": key})).body


class TestTheFileAndTheCode:
    """What stands in `openapi.json` is what the code does."""

    def test_the_bounds_are_the_ones_that_are_enforced(self) -> None:
        components = DOCUMENT["components"]
        bounds = {name: parameter["schema"] for name, parameter in components["parameters"].items()}
        assert bounds["top_k"]["maximum"] == limits.MAX_TOP_K
        assert bounds["budget_ms"]["maximum"] == limits.MAX_EXPLAIN_MS
        assert bounds["budget_runs"]["minimum"] == limits.MIN_EXPLAIN_RUNS
        assert bounds["budget_runs"]["maximum"] == limits.MAX_EXPLAIN_RUNS
        generation = components["schemas"]["GenerateRequest"]["properties"]
        assert generation["temperature"]["maximum"] == limits.MAX_TEMPERATURE
        assert generation["seed"]["maximum"] == limits.MAX_SEED
        assert generation["length"]["maximum"] == generation["text_input"]["maxLength"] == limits.MAX_LENGTH
        assert generation["count"]["maximum"] == limits.MAX_IMAGES

    def test_the_datatypes_and_the_media_types_are_the_ones_that_are_read(self) -> None:
        components = DOCUMENT["components"]
        assert components["schemas"]["Datatype"]["enum"] == list(DATATYPES)
        for name in ("Payload", "Invocation", "ExplainRequest"):
            assert components["requestBodies"][name]["content"].keys() == {*MEDIA_TYPES, MULTIPART, JSON, BINARY}

    @pytest.mark.parametrize(
        ("name", "parse", "good", "bad"),
        [
            ("model", layout.parse_name, ("digits", "a.b_c-1", "a" * 63), ("", "-a", "A", "a" * 64)),
            ("version", layout.parse_version, ("1", "999999999"), ("", "0", "01", "1000000000")),
        ],
    )
    def test_a_name_fits_its_pattern_if_it_is_a_name(
        self, name: str, parse: Callable[[str], object], good: tuple[str, ...], bad: tuple[str, ...]
    ) -> None:
        pattern = DOCUMENT["components"]["parameters"][name]["schema"]["pattern"]
        for text in good:
            parse(text)
            assert re.fullmatch(pattern, text)
        for text in bad:
            with pytest.raises(OnnxletError):
                parse(text)
            assert not re.fullmatch(pattern, text)

    def test_every_component_is_used(self) -> None:
        text = json.dumps(DOCUMENT["paths"]) + json.dumps(DOCUMENT["components"])
        for kind in ("parameters", "requestBodies", "schemas"):
            for name in DOCUMENT["components"][kind]:
                assert f'"#/components/{kind}/{name}"' in text

    def test_what_a_function_does_not_do_is_not_described(self) -> None:
        paths = describe(explain_runs=0, generate_length=0)["paths"]
        assert len(paths) == len(DOCUMENT["paths"]) - 4
        assert not [path for path in paths if path.endswith(("/explain", "/generate"))]

    def test_a_smaller_bound_is_described(self) -> None:
        components = describe(explain_runs=10, generate_length=3)["components"]
        assert components["parameters"]["budget_runs"]["schema"]["maximum"] == 10
        generation = components["schemas"]["GenerateRequest"]["properties"]
        assert generation["count"]["maximum"] == generation["length"]["maximum"] == 3
