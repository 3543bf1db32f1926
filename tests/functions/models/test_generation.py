import base64
import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from onnxlet.limits import MAX_IMAGES
from onnxlet.registry.registry import Registry
from onnxlet.web.app import App
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.generations import ask, generating_app, text


@pytest.fixture(scope="module")
def app() -> App:
    return generating_app()


@pytest.mark.parametrize("model", ["char", "one-hot"])
class TestText:
    def test_the_best_token_follows_at_temperature_zero(self, app: App, model: str) -> None:
        answer = text(app, model, text_input="a", length=7, temperature=0)
        assert answer["text_output"] == "bc abc "
        assert (answer["model_name"], answer["model_version"]) == (model, "1")

    def test_the_same_seed_gives_the_same_text_and_another_another(self, app: App, model: str) -> None:
        texts = [text(app, model, prompt="ab", length=200, temperature=2.0, seed=seed) for seed in (7, 7, 8)]
        assert texts[0] == texts[1]
        assert texts[0]["text_output"] != texts[2]["text_output"]

    def test_top_k_draws_among_the_best_alone(self, app: App, model: str) -> None:
        fields: dict[str, Any] = {"text_input": "a", "length": 40, "temperature": 100.0, "seed": 3}
        assert text(app, model, **fields, top_k=1)["text_output"].startswith("bc a")
        assert set(text(app, model, **fields)["text_output"]) == set(graphs.VOCABULARY)


def test_a_model_whose_state_loses_its_elements_is_not_published(app: App) -> None:
    """Its kernels may not survive a state without elements."""
    step = graphs.char_step()
    step.graph.node[-1].CopyFrom(helper.make_node("Slice", ["state", "none", "none"], ["next_state"]))
    step.graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.int64), "none"))
    declaration = graphs.char_candidate().generation
    candidate = dataclasses.replace(graphs.candidate("shrinking", step), generation=declaration)
    with pytest.raises(ModelError, match="the model's next state is not one that it takes"):
        publish(Registry(app.service.traffic.models.registry.store), candidate)


def test_draws_follow_the_scores(app: App) -> None:
    """After a: b scores 3, the three others 0. So b has e^3 / (e^3 + 3) = 0.87 of the draws at temperature 1."""
    firsts = [text(app, text_input="a", length=1, seed=seed)["text_output"] for seed in range(400)]
    assert 0.82 < firsts.count("b") / len(firsts) < 0.92


class TestImages:
    def test_the_same_seed_gives_the_same_png(self, app: App) -> None:
        first, again, other = (ask(app, "generator", "image/png", seed=seed) for seed in (1, 1, 2))
        assert (first.status, first.content_type) == (200, "image/png")
        assert first.headers["onnxlet-seed"] == "1"
        assert first.body == again.body != other.body
        image = Image.open(io.BytesIO(first.body))
        assert (image.size, image.mode) == ((6, 4), "L")

    def test_the_pixels_are_the_networks(self, app: App) -> None:
        """The latent numbers of any seed are finite and of unit spread; a sigmoid of zero is grey."""
        files = self.images(app, "generator", count=MAX_IMAGES, seed=5)
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(file)), np.float64) for file in files])
        assert 100 < pixels.mean() < 155
        assert pixels.std() > 60

    def test_a_planar_output_is_turned(self, app: App) -> None:
        assert self.images(app, "planar", seed=9) == self.images(app, "generator", seed=9)

    def test_the_first_images_do_not_depend_on_how_many_follow(self, app: App) -> None:
        assert self.images(app, "generator", seed=4, count=3)[:2] == self.images(app, "generator", seed=4, count=2)

    def images(self, app: App, model: str, **fields: Any) -> list[bytes]:
        answer = text(app, model, **fields)
        return [base64.b64decode(image["b64"]) for image in answer["images"]]
