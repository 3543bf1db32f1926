import json
import logging
import uuid
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from onnxlet.events.messages import Inline, Message
from onnxlet.events.objects import answer
from onnxlet.http import Request, Response
from onnxlet.observe.capture import MAX_INPUT_BYTES
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from onnxlet_training.tasks.classification import to_png
from tests.helpers import graphs

PNG = to_png(np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8))


@pytest.fixture
def settings() -> Settings:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    candidates = [graphs.digits_candidate(), graphs.halves_candidate(), graphs.candidate("sums", graphs.sums())]
    publish_all(registry, candidates)
    return Settings(registry.store.url, results=f"memory://{uuid.uuid4()}", capture=1.0)


def ask(settings: Settings, path: str, body: Any, media_type: str = "application/json") -> Response:
    app = App(settings, write_line=lambda _line: None)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, data, {"content-type": media_type}))
    assert response.status == 200, response.body
    return response


def captured(settings: Settings) -> list[dict[str, Any]]:
    assert settings.results is not None
    store = open_store(settings.results)
    return [json.loads(store.read(key).data) for key in sorted(store.keys("capture"))]


def test_a_sampled_answer_leaves_its_label_its_confidence_and_its_inputs_measures(settings: Settings) -> None:
    response = ask(settings, "/predict/digits", PNG, "image/png")
    (prediction,) = json.loads(response.body)["predictions"]
    (document,) = captured(settings)
    (row,) = document["rows"]
    assert (document["model"], document["version"]) == ("digits", 1)
    assert (row["label"], row["confidence"]) == (prediction["label"], prediction["probability"])
    assert row["measures"].keys() == {"input.mean", "input.spread"}
    assert row["measures"]["input.mean"] == pytest.approx(0.5, abs=0.05)
    assert "capture;dur=" in response.headers["server-timing"]


def test_no_payload_is_kept(settings: Settings) -> None:
    ask(settings, "/predict/digits", PNG, "image/png")
    (document,) = captured(settings)
    assert document.keys() == {"schema", "time", "model", "version", "rows"}
    assert document["rows"][0].keys() == {"label", "confidence", "measures"}


def test_the_tensors_that_the_model_ran_on_are_kept_where_the_operator_asks_for_them(settings: Settings) -> None:
    ask(replace(settings, capture_inputs=True), "/v1/models/sums:predict", {"instances": [[1, 2, 3], [4, 5, 6]]})
    (document,) = captured(settings)
    (first, second) = document["inputs"]
    assert (first[0]["name"], first[0]["datatype"], first[0]["shape"]) == ("x", "FP32", [1, 3])
    assert np.frombuffer(b64decode(second[0]["data"]), np.float32).tolist() == [4, 5, 6]


def test_inputs_that_are_too_large_are_not_kept(settings: Settings) -> None:
    rows = MAX_INPUT_BYTES // 12 + 1
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 3], "data": [0] * (3 * rows)}]}
    ask(replace(settings, capture_inputs=True), "/v2/models/sums/infer", body)
    (document,) = captured(settings)
    assert "inputs" not in document


def test_it_lies_by_model_version_and_day(settings: Settings) -> None:
    ask(settings, "/predict/digits", PNG, "image/png")
    assert settings.results is not None
    (key,) = open_store(settings.results).keys("")
    assert key.rpartition("/")[0] == f"capture/digits/1/{datetime.now(UTC):%Y-%m-%d}"


TENSOR = {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1.5, -2.0]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/models/halves/infer", {"inputs": [TENSOR]}),
        ("/v1/models/halves:predict", {"instances": [[1.5], [-2.0]]}),
        ("/v1/models/halves:predict", {"inputs": [[1.5], [-2.0]]}),
        ("/predict/halves", [[1.5], [-2.0]]),
    ],
)
def test_all_ways_to_ask_leave_the_same(settings: Settings, path: str, body: Any) -> None:
    ask(settings, path, body)
    (document,) = captured(settings)
    assert [(row["label"], row["measures"]) for row in document["rows"]] == [
        ("above", {"x[0]": 1.5}),
        ("below", {"x[0]": -2.0}),
    ]
    assert all(row["confidence"] > 0.9 for row in document["rows"])


def test_a_model_without_labels_leaves_its_inputs_measures_alone(settings: Settings) -> None:
    ask(settings, "/predict/sums", [[1, 2, 3]])
    (document,) = captured(settings)
    assert document["rows"] == [{"measures": {"x[0]": 1.0, "x[1]": 2.0, "x[2]": 3.0}}]


def test_a_number_that_json_has_no_form_for_is_left_out(settings: Settings) -> None:
    app = App(settings, write_line=lambda _line: None)
    body = np.array([[1, np.nan, np.inf]], np.float32).tobytes()
    app.handle(Request("POST", "/v2/models/sums/infer", body, {"inference-header-content-length": "0"}))
    assert captured(settings)[0]["rows"] == [{"measures": {"x[0]": 1.0}}]


def test_many_rows_are_cut_off(settings: Settings) -> None:
    ask(settings, "/predict/halves", [[1.0]] * 250)
    assert len(captured(settings)[0]["rows"]) == 100


def test_an_event_leaves_the_same_as_a_request(settings: Settings) -> None:
    source = Inline("pubsub://topic/1", "1", PNG, "image/png")
    answer(Service(replace(settings, model="digits")), [Message(None, (source,))], lambda _line: None)
    ask(settings, "/predict/digits", PNG, "image/png")
    first, second = captured(settings)
    assert first["rows"] == second["rows"]


def test_about_the_asked_share_is_kept_and_nothing_where_none_is_asked(settings: Settings) -> None:
    for share, low, high in ((0.0, 0, 0), (0.5, 60, 140)):
        told = replace(settings, capture=share, results=f"memory://{uuid.uuid4()}")
        app = App(told, write_line=lambda _line: None)
        for _ in range(200):
            app.handle(Request("POST", "/predict/halves", b"[[1.0]]", {"content-type": "application/json"}))
        assert low <= len(captured(told)) <= high


def test_a_store_that_refuses_never_costs_an_answer(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    unreachable = replace(settings, results="file:///proc/nowhere")
    with caplog.at_level(logging.WARNING, logger="onnxlet"):
        response = ask(unreachable, "/predict/digits", PNG, "image/png")
    assert json.loads(response.body)["predictions"]
    assert "an answer of digits was not captured" in caplog.text
