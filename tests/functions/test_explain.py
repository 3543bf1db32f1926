import base64
import io
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper
from PIL import Image

from onnxlet.contract.manifest import Classification, ImagePreprocess
from onnxlet.http import Request, Response
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_MS, MAX_EXPLAIN_NUMBERS
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import publish_all
from onnxlet_training.tasks.classification import to_png
from tests.helpers import graphs, real_digits
from tests.helpers.deletion import deletion

WEIGHTS = np.array([[0.5, -0.25, 0.125, 0.0]], np.float32).T
"""Of the second class; the first has what is left to 1."""


def additive() -> Candidate:
    """FP32 (batch, 4) to two scores that are sums: the contribution of a number is its weight times its value."""
    proto = graphs.model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", 4])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {"weights": WEIGHTS, "one": np.ones((1, 1), np.float32)},
    )
    return with_labels(graphs.candidate("additive", proto))


def product() -> Candidate:
    """INT32 a and b, both (1, 1) and never more rows, to the scores 1 - ab and ab."""
    proto = graphs.model(
        [
            helper.make_node("Mul", ["a", "b"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["second"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [(name, TensorProto.INT32, [1, 1]) for name in ("a", "b")],
        [("output", TensorProto.FLOAT, [1, 2])],
        {"one": np.ones((1, 1), np.float32)},
    )
    return with_labels(graphs.candidate("product", proto))


def square() -> Candidate:
    """RGB images of 28 x 14 pixels: `there` is as probable as the 8 x 4 pixels in the middle of the left are red."""
    weights = np.zeros((14, 28, 3), np.float32)
    weights[5:9, 4:12, 0] = 1 / 32
    proto = graphs.model(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", 14, 28, 3])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {"weights": weights.reshape(-1, 1), "one": np.ones((1, 1), np.float32)},
    )
    return replace(with_labels(graphs.candidate("square", proto)), preprocess=ImagePreprocess(14, 28, 3))


def strings() -> Candidate:
    """One text to its length's share of nothing: any classifier of texts."""
    proto = graphs.model(
        [helper.make_node("Shape", ["x"], ["size"]), helper.make_node("Expand", ["half", "shape"], ["output"])],
        [("x", TensorProto.STRING, [1])],
        [("output", TensorProto.FLOAT, [1, 2])],
        {"half": np.full((1, 1), 0.5, np.float32), "shape": np.array([1, 2], np.int64)},
    )
    return with_labels(graphs.candidate("strings", proto))


def with_labels(candidate: Candidate) -> Candidate:
    return replace(candidate, classification=Classification(("absent", "there")))


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    candidates = [additive(), product(), square(), strings(), real_digits.regression(), graphs.digits_candidate()]
    publish_all(registry, [*candidates, graphs.candidate("sums", graphs.sums())])
    return App(Settings(registry.store.url), write_line=lambda _line: None)


def ask(
    app: App, model: str, body: Any, media_type: str = "application/json", accept: str = "", **query: object
) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": media_type, "accept": accept}
    texts = {name: str(value) for name, value in query.items()}
    return app.handle(Request("POST", f"/v2/models/{model}/explain", data, headers, texts))


def explained(app: App, model: str, body: Any, media_type: str = "application/json", **query: object) -> dict[str, Any]:
    response = ask(app, model, body, media_type, "", **query)
    assert response.status == 200, response.body
    answer: dict[str, Any] = json.loads(response.body)
    return answer


def red(height: int = 14, width: int = 28) -> bytes:
    """A PNG file, white but for a red place that covers what `square` looks at."""
    pixels = np.full((14, 28, 3), 255, np.uint8)
    pixels[5:9, 4:12] = (255, 0, 0)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def dark(height: int = 14, width: int = 28) -> bytes:
    """As `red`, on black."""
    pixels = np.array(Image.open(io.BytesIO(red(height, width))))
    pixels[(pixels == 255).all(axis=2)] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def npy(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def values(answer: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.array(answer["map"]["data"]).reshape(answer["map"]["shape"])


class TestNumbers:
    def test_contributions_to_a_sum_are_its_terms(self, app: App) -> None:
        answer = explained(app, "additive", [[1.0, 2.0, 3.0, 4.0]], target="there")
        assert (answer["model"], answer["version"], answer["label"]) == ("additive", 1, "there")
        assert (answer["probability"], answer["baseline_probability"]) == (0.375, 0.0)
        found = {item["index"][0]: item["contribution"] for item in answer["contributions"]}
        assert found == pytest.approx({0: 0.5, 1: -0.5, 2: 0.375, 3: 0.0}, abs=1e-6)
        assert [item["value"] for item in answer["contributions"]][2:] == [3.0, 4.0]
        assert {item["baseline"] for item in answer["contributions"]} == {0.0}

    def test_two_numbers_that_need_each_other_share_what_they_add(self, app: App) -> None:
        """Where `a` comes first it adds nothing and `b` all, and the other way round: half of it is each one's."""
        answer = explained(app, "product", {"a": [3], "b": [5]}, target="there")
        assert answer["baseline_probability"] == 0.0
        assert [item["contribution"] for item in answer["contributions"]] == [7.5, 7.5]
        assert {(item["input"], *item["index"]) for item in answer["contributions"]} == {("a", 0), ("b", 0)}

    def test_contributions_sum_up_to_what_the_row_has_more_than_the_baseline(self, app: App) -> None:
        answer = explained(app, "additive", [[0.5, -1.0, 2.0, 0.0]], budget_runs=50)
        total = sum(item["contribution"] for item in answer["contributions"])
        assert total == pytest.approx(answer["probability"] - answer["baseline_probability"], abs=1e-6)

    def test_a_row_that_is_the_baseline_has_no_reasons(self, app: App) -> None:
        answer = explained(app, "additive", [[0.0] * 4])
        assert {item["contribution"] for item in answer["contributions"]} == {0.0}
        assert answer["runs"] == 2

    def test_an_array_is_explained_as_json_is(self, app: App) -> None:
        row = [1.0, 2.0, 3.0, 4.0]
        answers = [
            explained(app, "additive", [row]),
            explained(app, "additive", npy(np.array(row, np.float32)), "application/x-npy"),
        ]
        assert answers[0]["contributions"] == answers[1]["contributions"]

    @pytest.mark.parametrize("runs", [5, 6, 20, 333])
    def test_no_more_rows_run_than_the_budget_says(self, app: App, runs: int) -> None:
        answer = explained(app, "additive", [[1.0, 2.0, 3.0, 4.0]], budget_runs=runs)
        assert runs - 3 < answer["runs"] <= runs

    def test_a_budget_that_does_not_reach_every_number_is_a_400_that_says_what_does(self, app: App) -> None:
        response = ask(app, "additive", [[1.0, 2.0, 3.0, 4.0]], budget_runs=4)
        assert (response.status, json.loads(response.body)["error"]) == (
            400,
            "budget_runs: expected 5 or more for 4 numbers",
        )


class TestImages:
    def test_the_pixels_that_decide_have_the_highest_values(self, app: App) -> None:
        answer = explained(app, "square", dark(), "image/png")
        assert (answer["label"], answer["probability"]) == ("there", pytest.approx(1, abs=1e-6))
        found = values(answer)
        assert found.shape == (14, 28)
        assert found[5:9, 4:12].mean() > 0.1
        assert abs(found[:, 20:]).max() < 0.05

    def test_against_the_other_label_they_have_the_lowest(self, app: App) -> None:
        there, absent = (values(explained(app, "square", dark(), "image/png", target=each)) for each in LABELS)
        assert np.allclose(there, -absent, atol=1e-5)

    def test_hidden_pixels_become_what_the_edge_is(self, app: App) -> None:
        """On white, whose red channel is full, hiding the red square changes nothing."""
        assert abs(values(explained(app, "square", red(), "image/png"))).max() < 1e-6

    def test_an_image_of_any_size_has_a_map_of_the_models(self, app: App) -> None:
        answer = explained(app, "square", dark(140, 280), "image/png")
        assert answer["map"]["shape"] == [14, 28]
        assert values(answer)[5:9, 4:12].mean() > 0.1

    def test_the_probability_is_the_one_that_predict_says(self, app: App) -> None:
        body = to_png(np.random.default_rng(0).integers(0, 256, (40, 30, 1), np.uint8))
        response = app.handle(Request("POST", "/predict/digits", body, {"content-type": "image/png"}))
        (prediction,) = json.loads(response.body)["predictions"]
        answer = explained(app, "digits", body, "image/png", budget_runs=3)
        assert (answer["label"], answer["probability"]) == (prediction["label"], prediction["probability"])

    @pytest.mark.parametrize("form", ["image", "unknown", "base64", "instances", "pixels", "version"])
    def test_all_forms_of_an_image_have_the_same_map(self, app: App, form: str) -> None:
        body = dark()
        text = base64.b64encode(body).decode()
        pixels = np.asarray(Image.open(io.BytesIO(body)))
        forms: dict[str, Callable[[], dict[str, Any]]] = {
            "image": lambda: explained(app, "square", body, "image/png"),
            "unknown": lambda: explained(app, "square", body, "application/octet-stream"),
            "base64": lambda: explained(app, "square", text),
            "instances": lambda: explained(app, "square", {"instances": [{"b64": text}]}),
            "pixels": lambda: explained(app, "square", npy(pixels), "application/x-npy"),
            "version": lambda: explained(app, "square/versions/1", body, "image/png"),
        }
        assert forms[form]()["map"] == forms["image"]()["map"]

    def test_the_overlay_is_the_image_with_colours_where_the_map_speaks(self, app: App) -> None:
        response = ask(app, "square", dark(), "image/png", accept="image/png")
        assert (response.status, response.content_type) == (200, "image/png")
        picture = Image.open(io.BytesIO(response.body))
        assert (picture.size, picture.mode) == ((224, 112), "RGB")
        red_there, _, blue_there = np.asarray(picture)[56, 64].tolist()
        assert red_there > blue_there + 100
        assert np.asarray(picture)[100, 200].max() < 60
        again = explained(app, "square", dark(), "image/png")["overlay"]["b64"]
        assert base64.b64decode(again) == response.body

    def test_a_large_image_has_a_smaller_overlay_of_its_own_aspect(self, app: App) -> None:
        response = ask(app, "square", dark(1400, 700), "image/png", accept="image/png")
        assert Image.open(io.BytesIO(response.body)).size == (256, 512)

    @pytest.mark.parametrize("runs", [3, 4, 17, 100, 501])
    def test_no_more_rows_run_than_the_budget_says(self, app: App, runs: int) -> None:
        assert runs - 2 < explained(app, "square", dark(), "image/png", budget_runs=runs)["runs"] <= runs

    def test_the_time_ends_it_before_the_runs_do(self, app: App) -> None:
        answer = explained(app, "digits", png(), "image/png", budget_runs=DEFAULT_EXPLAIN_RUNS, budget_ms=100)
        assert 3 <= answer["runs"] < DEFAULT_EXPLAIN_RUNS
        assert answer["milliseconds"] < 2000


def test_a_function_that_explains_and_captures_nothing_imports_nothing_of_it() -> None:
    rooms = "{'onnxlet.explain', 'onnxlet.observe.capture', 'onnxlet.contract.training_statistics', 'PIL'}"
    program = f"import sys, onnxlet.web.app, onnxlet.events.objects; assert not sys.modules.keys() & {rooms}"
    subprocess.run([sys.executable, "-c", program], check=True)


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None  # as in a package that was made without it
from onnxlet.web.app import App
from onnxlet.settings import Settings
from onnxlet.http import Request
app = App(Settings(sys.argv[1]), write_line=lambda _line: None)
headers = {"content-type": "application/x-npy"}
response = app.handle(Request("POST", "/v2/models/digits/explain", open(sys.argv[2], "rb").read(), headers))
print(response.status, response.body.decode())
"""


def test_pixels_are_refused_where_there_is_no_pillow_to_mask_them(tmp_path: Path) -> None:
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish_all(registry, [graphs.digits_candidate()])
    (tmp_path / "pixels.npy").write_bytes(npy(np.zeros((28, 28, 1), np.uint8)))
    command = [sys.executable, "-c", WITHOUT_PILLOW, registry.store.url, str(tmp_path / "pixels.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("415 "), done.stderr
    assert "without Pillow" in done.stdout


LABELS = ("there", "absent")


def png() -> bytes:
    return to_png(np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8))


TWO = b"--x\r\nContent-Type: image/png\r\n\r\n%s\r\n--x\r\nContent-Type: image/png\r\n\r\n%s\r\n--x--" % (png(), png())


@pytest.mark.parametrize(
    ("model", "body", "media_type", "query", "status", "words"),
    [
        ("sums", [[1, 2, 3]], "application/json", {}, 415, "only classifiers are explained"),
        ("strings", b"hello", "text/plain", {}, 415, "BYTES is not explained"),
        ("digits", npy(np.zeros((28, 28, 1), np.float32)), "application/x-npy", {}, 415, "by images, not by tensors"),
        ("digits", b"no image", "image/png", {}, 422, "bytes that are none"),
        ("digits", b"", "image/png", {}, 400, "the body is empty"),
        ("digits", TWO, "multipart/form-data; boundary=x", {}, 400, "expected one row, got several images"),
        ("digits", npy(np.zeros((2, 28, 28, 1), np.uint8)), "application/x-npy", {}, 400, "expected one row, got 2"),
        ("additive", [[1.0] * 4] * 3, "application/json", {}, 400, "expected one row, got 3"),
        ("additive", [[]], "application/json", {}, 400, "input"),
        ("digits", png(), "image/png", {"target": "ten"}, 400, "target: expected one of 0, 1"),
        ("digits", png(), "image/png", {"budget_runs": 2}, 400, "budget_runs: expected a number from 3"),
        ("digits", png(), "image/png", {"budget_runs": DEFAULT_EXPLAIN_RUNS + 1}, 400, "budget_runs"),
        ("digits", png(), "image/png", {"budget_runs": "many"}, 400, "budget_runs"),
        ("digits", png(), "image/png", {"budget_ms": 0}, 400, "budget_ms"),
        ("digits", png(), "image/png", {"budget_ms": MAX_EXPLAIN_MS + 1}, 400, "budget_ms"),
        ("nope", png(), "image/png", {}, 404, "nope"),
    ],
)
def test_what_cannot_be_explained_is_a_4xx(
    app: App, model: str, body: Any, media_type: str, query: dict[str, Any], status: int, words: str
) -> None:
    response = ask(app, model, body, media_type, **query)
    assert (response.status, words in json.loads(response.body)["error"]) == (status, True), response.body


def test_deleting_what_is_ranked_highest_costs_more_than_twice_what_chance_does(app: App) -> None:
    """On 200 real digits that the model has never seen."""
    images, truth = real_digits.load()
    unseen = slice(real_digits.UNSEEN.start, real_digits.UNSEEN.start + 200)
    found = deletion(app, "regression", images[unseen], truth[unseen])
    assert found.ranked >= 2 * found.random
    assert found.ranked > 0.3


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
