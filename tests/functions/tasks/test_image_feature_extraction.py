import numpy as np
import pytest
from PIL import Image

from onnxlet.record import replace
from tests.helpers.picture_models import FEATURES, answers, opened


def test_a_picture_becomes_a_vector() -> None:
    colours = np.array([[51, 102, 204], [255, 0, 0]])
    pictures = [Image.new("RGB", (40, 40), tuple(colour)) for colour in colours.tolist()]
    np.testing.assert_allclose(answers(opened(replace(FEATURES, normalize=False)), *pictures), colours / 255, atol=1e-6)
    lengths = np.linalg.norm(colours, axis=1, keepdims=True)
    np.testing.assert_allclose(answers(opened(FEATURES), *pictures), colours / lengths, atol=1e-6)


def test_a_letterbox_is_part_of_the_vector() -> None:
    (vector,) = answers(opened(replace(FEATURES, normalize=False)), Image.new("RGB", (40, 20), "white"))
    assert vector == pytest.approx([0.5, 0.5, 0.5])
