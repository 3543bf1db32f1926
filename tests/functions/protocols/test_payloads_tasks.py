"""Payloads for tasks: what nothing describes, and parameters next to the instances."""

import json
import uuid
from typing import Any

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from tests.helpers import app_requests, tables, task_models
from tests.helpers.payload_requests import form, post, predictions
from tests.helpers.ungated import publish

SENTENCE = "It is warm in Paris."


@pytest.fixture(scope="module")
def app() -> App:
    url = f"memory://{uuid.uuid4()}"
    for candidate in (
        task_models.text_candidate("text-classification"),
        task_models.text_candidate("zero-shot-classification"),
        tables.choices_candidate(),
    ):
        publish(Registry(open_store(url)), candidate)
    return App(Settings(url))


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_a_task_of_texts_takes_what_nothing_describes_as_a_text(app: App, media_type: str) -> None:
    expected = predictions(app, "text-classification", SENTENCE.encode(), "text/plain")
    assert predictions(app, "text-classification", SENTENCE.encode(), media_type) == expected
    assert predictions(app, "text-classification", json.dumps([SENTENCE]).encode(), media_type) == expected


def test_bytes_that_are_no_text_are_a_422(app: App) -> None:
    status, answer = post(app, "/predict/text-classification", b"\xff\xfe\x00", "")
    assert (status, answer["code"]) == (422, "unreadable_payload")


@pytest.mark.parametrize(("model", "takes"), [("text-classification", "text"), ("choices", "table")])
def test_a_picture_for_another_model_is_a_415_that_says_what_it_takes(app: App, model: str, takes: str) -> None:
    status, answer = post(app, f"/predict/{model}", app_requests.png(), "image/png")
    assert (status, answer["error"]) == (415, f'model "{model}" takes a {takes}, not an image')


@pytest.mark.parametrize("model", ["text-classification", "choices"])
def test_json_has_its_parameters_next_to_its_instances(app: App, model: str) -> None:
    rows: list[Any] = [SENTENCE] if model == "text-classification" else [[1, 2]]
    (answer,) = predictions(app, model, {"instances": rows, "parameters": {"top_k": 2}})
    assert len(answer["top"]) == 2
    (answer,) = predictions(app, model, {"instances": rows, "parameters": None})
    assert len(answer["top"]) == 3
    for parameters, error in (([], "expected an object, got list"), ({"colour": 1}, "'colour': expected one of")):
        status, found = post(app, f"/predict/{model}", {"instances": rows, "parameters": parameters})
        assert (status, error in found["error"]) == (400, True), found


def test_the_query_overrides_the_parameters_of_a_body(app: App) -> None:
    body = json.dumps({"instances": [SENTENCE], "parameters": {"top_k": 2}}).encode()
    status, answer = app_requests.post(app, "/predict/text-classification", body, "application/json", top_k="1")
    assert (status, len(answer["predictions"][0]["top"])) == (200, 1)


def test_a_text_in_a_query_stands_for_a_list_of_labels(app: App) -> None:
    path = "/predict/zero-shot-classification"
    status, answer = app_requests.post(app, path, SENTENCE.encode(), "text/plain", candidate_labels="sports, weather")
    assert (status, sorted(answer["predictions"][0]["labels"])) == (200, ["sports", "weather"])


def test_a_part_of_a_form_has_no_parameters(app: App) -> None:
    document = json.dumps({"instances": [SENTENCE], "parameters": {"top_k": 2}}).encode()
    head = b'Content-Disposition: form-data; name="f"; filename="a.json"\r\nContent-Type: application/json\r\n\r\n'
    status, answer = post(app, "/predict/text-classification", form(head + document), "multipart/form-data; boundary=x")
    assert (status, answer["error"]) == (
        400,
        "parameters: expected in the query of a form, got them in one of its parts",
    )
