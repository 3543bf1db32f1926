import json
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs, tables
from tests.helpers.explanations import ask, explained, with_labels

ROW = {"age": 0.5, "height": 1.0, "member": "yes"}


def people() -> Candidate:
    """A label by two numbers of one input, and by whether a column of texts says yes."""
    proto = graphs.model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["sum"]),
            helper.make_node(
                "LabelEncoder", ["member"], ["bonus"], domain="ai.onnx.ml", keys_strings=["yes"], values_floats=[0.25]
            ),
            helper.make_node("Max", ["bonus", "zero"], ["added"]),
            helper.make_node("Add", ["sum", "added"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", 2]), ("member", TensorProto.STRING, ["batch", 1])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {
            "weights": np.array([[0.5], [0.125]], np.float32),
            "one": np.ones((1, 1), np.float32),
            "zero": np.zeros((1, 1), np.float32),
        },
    )
    columns = tables.task("tabular-classification", {"x": ["age", "height"], "member": ["member"]})
    return replace(with_labels(graphs.candidate("people", proto)), task=columns)


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish_all(registry, [people()])
    return App(Settings(registry.store.url), write_line=lambda _line: None)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (ROW, "application/json"),
        ({"instances": [ROW]}, "application/json"),
        (b"member,age,height\nyes,0.5,1\n", "text/csv"),
    ],
)
def test_a_column_has_what_its_value_adds_to_the_probability(app: App, body: Any, media_type: str) -> None:
    answer = explained(app, "people", body, media_type, target="there")
    assert (answer["probability"], answer["baseline_probability"]) == (0.625, 0.0)
    assert sorted(answer["contributions"], key=lambda item: str(item["column"])) == [
        {"column": "age", "value": 0.5, "baseline": 0.0, "contribution": pytest.approx(0.25)},
        {"column": "height", "value": 1.0, "baseline": 0.0, "contribution": pytest.approx(0.125)},
        {"column": "member", "value": "yes", "baseline": "", "contribution": pytest.approx(0.25)},
    ]


def test_the_largest_contribution_comes_first_whatever_its_sign(app: App) -> None:
    answer = explained(app, "people", {**ROW, "age": -1.0}, target="there")
    assert [item["column"] for item in answer["contributions"]] == ["age", "member", "height"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"age": 1.0, "height": 2.0}, "member"),
        ({**ROW, "colour": "red"}, "colour"),
        ([ROW, ROW], "expected one row, got 2"),
    ],
)
def test_what_is_no_row_of_the_table_is_a_400(app: App, body: Any, words: str) -> None:
    response = ask(app, "people", body)
    assert (response.status, words in json.loads(response.body)["error"]) == (400, True), response.body
