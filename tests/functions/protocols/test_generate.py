import json
from typing import Any

import pytest

from onnxlet.http import Request
from onnxlet.limits import DEFAULT_GENERATE_LENGTH, MAX_IMAGES
from onnxlet.record import replace
from onnxlet.web.app import App
from tests.helpers.generations import ask, generating_app, text


@pytest.fixture(scope="module")
def app() -> App:
    return generating_app()


@pytest.mark.parametrize("model", ["char", "one-hot"])
class TestText:
    def test_parameters_may_stand_apart_as_the_protocol_has_them(self, app: App, model: str) -> None:
        apart = text(app, model, text_input="a", parameters={"length": 5, "temperature": 0, "seed": 1})
        assert apart == text(app, model, text_input="a", length=5, temperature=0, seed=1)

    def test_a_seed_is_drawn_and_told_where_none_is_given(self, app: App, model: str) -> None:
        first, second = (text(app, model, text_input="a", length=30, temperature=5.0) for _ in range(2))
        assert first["seed"] != second["seed"]
        again = text(app, model, text_input="a", length=30, temperature=5.0, seed=first["seed"])
        assert again == first


@pytest.mark.parametrize(
    ("model", "fields", "status", "words"),
    [
        ("char", {}, 400, "text_input: expected characters of 'abc ', got nothing"),
        ("char", {"text_input": "xyz"}, 400, "also 'xyz'"),
        ("char", {"text_input": 1}, 400, "text_input"),
        ("char", {"text_input": "a" * (DEFAULT_GENERATE_LENGTH + 1)}, 400, "text_input"),
        ("char", {"text_input": "a", "length": 0}, 400, "length: expected an integer from 1"),
        ("char", {"text_input": "a", "length": DEFAULT_GENERATE_LENGTH + 1}, 400, "length"),
        ("char", {"text_input": "a", "length": True}, 400, "length"),
        ("char", {"text_input": "a", "temperature": -1}, 400, "temperature"),
        ("char", {"text_input": "a", "temperature": "hot"}, 400, "temperature"),
        ("char", {"text_input": "a", "top_k": -1}, 400, "top_k"),
        ("char", {"text_input": "a", "seed": 2**60}, 400, "seed"),
        ("char", {"text_input": "a", "parameters": [1]}, 400, "parameters"),
        ("generator", {"count": MAX_IMAGES + 1}, 400, "count"),
        ("digits", {"text_input": "a"}, 415, 'model "digits" generates nothing'),
    ],
)
def test_what_cannot_be_generated_is_a_4xx(app: App, model: str, fields: Any, status: int, words: str) -> None:
    response = ask(app, model, **fields)
    assert (response.status, words in json.loads(response.body)["error"]) == (status, True), response.body


def bounded(app: App, longest: int) -> App:
    return App(replace(app.settings, generate_length=longest), write_line=lambda _line: None)


def test_the_function_says_how_long_a_generation_may_be(app: App) -> None:
    short = bounded(app, 20)
    assert len(text(short, text_input="a", seed=1)["text_output"]) == 20, "by default, too"
    for model, fields, words in (
        ("char", {"text_input": "a", "length": 21}, "length: expected an integer from 1 to 20, got 21"),
        ("char", {"text_input": "a" * 21}, "text_input: expected a text of at most 20 characters"),
        ("generator", {"count": 21}, "count: expected an integer from 1 to 20, got 21"),
    ):
        response = ask(short, model, **fields)
        assert (response.status, json.loads(response.body)["error"]) == (400, words)
    schemas = json.loads(short.handle(Request("GET", "/openapi.json")).body)["components"]["schemas"]
    properties = schemas["GenerateRequest"]["properties"]
    assert [properties["length"]["maximum"], properties["text_input"]["maxLength"]] == [20, 20]
    assert properties["count"]["maximum"] == 20


@pytest.mark.parametrize("model", ["char", "generator", "digits"])
def test_it_can_be_switched_off(app: App, model: str) -> None:
    off = bounded(app, 0)
    response = ask(off, model, text_input="a")
    document = json.loads(response.body)
    assert (response.status, document["code"]) == (403, "forbidden")
    assert "ONNXLET_GENERATE_LENGTH is 0" in document["error"]
    assert "generate" not in json.loads(off.handle(Request("GET", "/v2")).body)["extensions"]
    paths = json.loads(off.handle(Request("GET", "/openapi.json")).body)["paths"]
    assert not [path for path in paths if path.endswith("/generate")]
    assert [path for path in paths if path.endswith("/explain")]
