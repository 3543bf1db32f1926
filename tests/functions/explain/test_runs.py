import json
import time
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification
from onnxlet.http import Request
from onnxlet.limits import MAX_EXPLAIN_NUMBERS
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs
from tests.helpers.explanations import ask, explained, red, square


def wide(numbers: int, value: float) -> dict[str, Any]:
    return {"instances": [[value] * numbers]}


@pytest.fixture(scope="module")
def store_url() -> str:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    proto = graphs.model(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["first"], keepdims=1),
            helper.make_node("Neg", ["first"], ["second"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", "size"])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {"axes": np.array([1], np.int64)},
    )
    candidate = replace(graphs.candidate("wide", proto), classification=Classification(("more", "less")))
    publish_all(registry, [candidate, square()])
    return registry.store.url


class TestBounds:
    @pytest.fixture
    def app(self, store_url: str) -> App:
        return App(Settings(store_url), write_line=lambda _line: None)

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_a_row_of_too_many_numbers_is_a_413_even_if_it_is_the_baseline(self, app: App, value: float) -> None:
        response = ask(app, "wide", wide(MAX_EXPLAIN_NUMBERS + 1, value), budget_ms=1)
        document = json.loads(response.body)
        assert (response.status, document["code"]) == (413, "too_large")
        assert document["error"] == "a row of 10001 numbers: at most 10000 are explained"
        assert ask(app, "wide", wide(MAX_EXPLAIN_NUMBERS, 0.0)).status == 200

    @pytest.mark.parametrize(("model", "body"), [("wide", wide(10, 0.0)), ("wide", wide(10, 1.0)), ("square", red())])
    def test_a_model_that_takes_longer_than_the_budget_is_a_400_that_says_so(
        self, store_url: str, model: str, body: Any
    ) -> None:
        app = App(Settings(store_url), write_line=lambda _line: None)
        session = app.service.find(model).model.session
        before = session.run

        def slow(*arguments: Any, **options: Any) -> Any:
            time.sleep(0.05)
            return before(*arguments, **options)

        object.__setattr__(session, "run", slow)
        media_type = "image/png" if isinstance(body, bytes) else "application/json"
        response = ask(app, model, body, media_type, budget_ms=20)
        assert response.status == 400, response.body
        assert json.loads(response.body)["error"].startswith("budget_ms: expected time for")

    def test_the_function_says_how_many_runs_there_may_be(self, store_url: str) -> None:
        app = App(Settings(store_url, explain_runs=50), write_line=lambda _line: None)
        response = ask(app, "wide", wide(4, 1.0), budget_runs=51)
        assert json.loads(response.body)["error"] == "budget_runs: expected a number from 3 to 50, got '51'"
        assert explained(app, "wide", wide(4, 1.0))["runs"] <= 50, "by default, too"
        document = json.loads(app.handle(Request("GET", "/openapi.json")).body)
        runs = document["components"]["parameters"]["budget_runs"]["schema"]
        assert (runs["minimum"], runs["maximum"]) == (3, 50)

    def test_it_can_be_switched_off(self, store_url: str) -> None:
        app = App(Settings(store_url, explain_runs=0), write_line=lambda _line: None)
        response = ask(app, "wide", wide(4, 1.0))
        document = json.loads(response.body)
        assert (response.status, document["code"]) == (403, "forbidden")
        assert "ONNXLET_EXPLAIN_RUNS is 0" in document["error"]
        assert "explain" not in json.loads(app.handle(Request("GET", "/v2")).body)["extensions"]
        assert "explain" not in json.dumps(json.loads(app.handle(Request("GET", "/openapi.json")).body)["paths"])
