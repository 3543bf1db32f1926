import json
from base64 import b64encode
from typing import Any

import pytest

from onnxlet.http import Request
from onnxlet.web.app import App
from tests.helpers.typical_requests import png

PICTURE = b64encode(png()).decode()


def ask(app: App, model: str, body: Any, media_type: str = "application/json", **query: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", f"/models/{model}", data, {"content-type": media_type}, query=query))
    return response.status, json.loads(response.body)


def test_a_picture_gets_labels_with_scores(app: App) -> None:
    status, answer = ask(app, "digits", png(), "image/png")
    assert status == 200
    assert [set(entry) for entry in answer] == [{"label", "score"}] * 5
    assert answer == sorted(answer, key=lambda entry: -entry["score"])


def test_a_picture_in_base64_gets_the_answer_of_its_bytes(app: App) -> None:
    status, answer = ask(app, "digits", {"inputs": PICTURE, "parameters": {"top_k": 2}})
    assert (status, answer) == ask(app, "digits", png(), "image/png", top_k="2")
    assert len(answer) == 2


def test_a_list_of_pictures_gets_a_list_of_answers(app: App) -> None:
    _, one = ask(app, "digits", {"inputs": PICTURE})
    assert ask(app, "digits", {"inputs": [PICTURE, PICTURE]}) == (200, [one, one])


def test_parameters_may_stand_next_to_the_inputs(app: App) -> None:
    assert len(ask(app, "digits", {"inputs": PICTURE, "top_k": 3, "options": {"wait_for_model": True}})[1]) == 3


@pytest.mark.parametrize(
    ("model", "body", "status", "problem"),
    [
        ("digits", {}, 400, "expected inputs, got nothing"),
        ("digits", {"inputs": None}, 400, "expected inputs, got inputs"),
        ("digits", {"inputs": []}, 400, "expected inputs, got inputs"),
        ("digits", [1], 400, "expected an object with inputs, got list"),
        ("digits", {"inputs": PICTURE, "parameters": {"treshold": 1}}, 400, "parameter 'treshold': expected one of"),
        ("digits", {"inputs": PICTURE, "parameters": [1]}, 400, "parameters: expected an object, got list"),
        ("digits", {"inputs": "%%"}, 422, "expected base64 text"),
        ("sums", {"inputs": [1, 2, 3]}, 415, 'model "sums" serves tensors: POST to its routes under /v2/models'),
        ("absent", {"inputs": PICTURE}, 404, 'model "absent"'),
    ],
)
def test_a_wrong_request_is_a_4xx_that_says_why(app: App, model: str, body: Any, status: int, problem: str) -> None:
    found, answer = ask(app, model, body)
    assert (found, answer["error"][: len(problem)]) == (status, problem)
