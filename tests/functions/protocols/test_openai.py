import json
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet.http import Request
from onnxlet.protocols import openai
from onnxlet.web.app import App

EMBEDDINGS = {"model": "m", "input": "a text"}
RERANK = {"model": "m", "query": "q", "documents": ["a", "b"]}


def ask(app: App, path: str, body: Any) -> tuple[int, Any]:
    response = app.handle(Request("POST", path, json.dumps(body).encode(), {"content-type": "application/json"}))
    return response.status, json.loads(response.body)


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([5, 7], [[5, 7]]),
        ([[5, 7], [1]], [[5, 7], [1]]),
    ],
)
def test_one_input_or_several_become_items(sent: object, values: list[object]) -> None:
    assert openai.parse_embeddings({"model": "m", "input": sent}).items.values == values


def test_fields_that_openai_does_not_have_are_the_tasks_parameters() -> None:
    request = openai.parse_embeddings({**EMBEDDINGS, "user": "u", "dimensions": 2, "prompt_name": "query"})
    assert request.parameters == {"dimensions": 2, "prompt_name": "query"}
    assert not request.is_base64


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": None}, "model: expected a text"),
        ({"model": ["m"]}, "model: expected a text"),
        ({"input": None}, "input: expected a text, or a list of 1 to 10000, got null"),
        ({"input": []}, "input: expected a text, or a list of 1 to 10000, got 0"),
        ({"input": ["a", ""]}, "input: expected texts of at least one character"),
        ({"input": ""}, "input: expected texts of at least one character"),
        ({"encoding_format": "hex"}, "encoding_format: expected one of float, base64"),
    ],
)
def test_a_wrong_request_for_embeddings_is_refused_by_its_field(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        openai.parse_embeddings({**EMBEDDINGS, **changes})
    assert str(caught.value).startswith(problem)


def test_documents_may_be_objects_with_a_text() -> None:
    request = openai.parse_rerank({**RERANK, "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True})
    assert (list(request.documents), request.top_n, request.returns_documents) == (["a", "b"], 1, True)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"query": ""}, "query: expected a text"),
        ({"documents": []}, "documents: expected a list of 1 to 256 texts, got 0"),
        ({"documents": "a"}, "documents: expected a list of 1 to 256 texts, got string"),
        ({"documents": ["a", 1]}, r"documents[1]: expected a text, got number"),
        ({"top_n": 0}, "top_n: expected an integer from 1 to 256"),
        ({"return_documents": "maybe"}, "return_documents: expected true or false"),
    ],
)
def test_a_wrong_request_for_a_ranking_is_refused_by_its_field(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        openai.parse_rerank({**RERANK, **changes})
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_errors_have_the_form_that_openais_clients_read(app: App, path: str) -> None:
    status, answer = ask(app, path, {"model": "absent", **EMBEDDINGS, **RERANK, "documents": ["a"]})
    assert status == 404
    assert answer["error"].keys() == {"message", "type", "param", "code"}
    assert (answer["error"]["type"], answer["error"]["code"]) == ("invalid_request_error", "model_not_found")


def test_a_model_of_another_task_is_a_415(app: App) -> None:
    status, answer = ask(app, "/v1/embeddings", {"model": "digits", "input": "a"})
    assert status == 415
    assert "expected the task feature-extraction or sentence-similarity, got image-classification" in str(answer)


def test_base64_is_that_of_little_endian_fp32() -> None:
    found = np.frombuffer(b64decode(openai._base64([0.5, -2.0])), "<f4")
    assert found.tolist() == [0.5, -2.0]


def test_the_models_are_listed_for_both_kinds_of_clients(app: App) -> None:
    answer = json.loads(app.handle(Request("GET", "/v1/models")).body)
    assert answer["object"] == "list"
    assert [entry["id"] for entry in answer["data"]] == answer["models"]
    assert {entry["object"] for entry in answer["data"]} == {"model"}
