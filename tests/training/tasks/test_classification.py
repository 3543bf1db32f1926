import io

import numpy as np
import pytest
from PIL import Image

from onnxlet_training.errors import DataError
from onnxlet_training.recipe import Examples, Options
from onnxlet_training.tasks.classification import ClassificationTask, to_png

LABELS = ("a", "b")


def examples(*counts: int) -> Examples:
    targets = np.repeat(np.arange(len(counts)), counts)
    return Examples(np.zeros((len(targets), 1)), targets, LABELS[: len(counts)])


def test_every_example_is_in_one_part_and_every_class_in_all() -> None:
    data = examples(60, 40)
    parts = ClassificationTask().split(data, Options(seed=1))
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [len(part) for part in parts] == [70, 15, 15]
    assert {tuple(np.unique(data.targets[part])) for part in parts} == {(0, 1)}


@pytest.mark.parametrize(
    ("counts", "words"), [((50,), "at least two classes, got a"), ((50, 6), "class 'b': expected at least 7 examples")]
)
def test_classes_that_cannot_be_divided_are_refused(counts: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        ClassificationTask().split(examples(*counts), Options())


def test_logits_become_probabilities_and_probabilities_stay() -> None:
    logits = np.array([[1000.0, 1000.0], [0.0, np.log(3)]], np.float32)
    np.testing.assert_allclose(ClassificationTask("softmax").probabilities(logits), [[0.5, 0.5], [0.25, 0.75]], 1e-6)
    assert ClassificationTask().probabilities(logits) is logits


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_survives_as_png(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, channels), np.uint8)
    image = Image.open(io.BytesIO(to_png(pixels)))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
