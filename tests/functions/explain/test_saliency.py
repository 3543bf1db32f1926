import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlet.http import Request
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from onnxlet_training.tasks.classification import to_png
from tests.helpers import graphs, real_digits
from tests.helpers.deletion import deletion
from tests.helpers.explanations import (
    dark,
    explained,
    npy,
    png,
    red,
    values,
)

LABELS = ("there", "absent")

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


class TestImages:
    def test_the_pixels_that_decide_have_the_highest_values(self, app: App) -> None:
        answer = explained(app, "square", dark(), "image/png")
        assert (answer["label"], answer["probability"]) == ("there", pytest.approx(1, abs=1e-6))
        found = values(answer)
        assert found.shape == (14, 28)
        assert found[5:9, 4:12].mean() > 0.1
        assert abs(found[:, 20:]).max() < 0.05

    def test_a_map_covers_the_whole_picture_if_the_model_sees_its_middle(self, app: App) -> None:
        pixels = np.zeros((56, 84, 3), np.uint8)
        pixels[24:32, 22:38] = (255, 0, 0)  # the model sees 28 x 14 pixels in the middle of 42 x 28
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        found = values(explained(app, "cropped", file.getvalue(), "image/png"))
        assert found.shape == (28, 42)
        assert found[12:16, 11:19].mean() > 0.1
        assert abs(found[:, 30:]).max() < 0.05

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

    @pytest.mark.parametrize("runs", [3, 4, 17, 100, 501])
    def test_no_more_rows_run_than_the_budget_says(self, app: App, runs: int) -> None:
        assert runs - 2 < explained(app, "square", dark(), "image/png", budget_runs=runs)["runs"] <= runs

    def test_the_time_ends_it_before_the_runs_do(self, app: App) -> None:
        answer = explained(app, "digits", png(), "image/png", budget_runs=DEFAULT_EXPLAIN_RUNS, budget_ms=100)
        assert 3 <= answer["runs"] < DEFAULT_EXPLAIN_RUNS
        assert answer["milliseconds"] < 2000


def test_pixels_are_refused_where_there_is_no_pillow_to_mask_them(tmp_path: Path) -> None:
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish_all(registry, [graphs.digits_candidate()])
    (tmp_path / "pixels.npy").write_bytes(npy(np.zeros((28, 28, 1), np.uint8)))
    command = [sys.executable, "-c", WITHOUT_PILLOW, registry.store.url, str(tmp_path / "pixels.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("415 "), done.stderr
    assert "without Pillow" in done.stdout


def test_deleting_what_is_ranked_highest_costs_more_than_twice_what_chance_does(app: App) -> None:
    """On 200 real digits that the model has never seen."""
    images, truth = real_digits.load()
    unseen = slice(real_digits.UNSEEN.start, real_digits.UNSEEN.start + 200)
    found = deletion(app, "regression", images[unseen], truth[unseen])
    assert found.ranked >= 2 * found.random
    assert found.ranked > 0.3
