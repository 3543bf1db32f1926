import numpy as np
import pytest

from training import data
from training.recipe import Options
from training.recipes import RECIPES


@pytest.fixture(scope="module")
def dataset() -> data.Dataset:
    return data.load(RECIPES["digits"], Options(seed=3))


def test_no_test_image_is_seen_in_training(dataset: data.Dataset) -> None:
    seen = {image.tobytes() for image in dataset.train.images}
    assert not any(image.tobytes() in seen for image in dataset.test.images)
    assert not any(image.tobytes() in seen for image in dataset.validation.images)


def test_every_class_is_in_every_part_in_proportion(dataset: data.Dataset) -> None:
    for split in (dataset.train, dataset.validation, dataset.test):
        shares = np.bincount(split.labels, minlength=10) / len(split.labels)
        assert shares.min() > 0.08
        assert shares.max() < 0.12


def test_inputs_come_from_the_graph_that_the_functions_run(dataset: data.Dataset) -> None:
    assert dataset.test.inputs.dtype == np.float32
    np.testing.assert_allclose(dataset.test.inputs, dataset.test.images / 255, atol=1e-6)


def test_the_same_seed_gives_the_same_data_and_another_seed_another_split(dataset: data.Dataset) -> None:
    again = data.load(RECIPES["digits"], Options(seed=3))
    other = data.load(RECIPES["digits"], Options(seed=4))
    np.testing.assert_array_equal(again.train.inputs, dataset.train.inputs)
    assert again.sha256 == other.sha256 == dataset.sha256
    assert not np.array_equal(other.test.labels, dataset.test.labels)


def test_augmented_copies_differ_and_keep_their_labels(dataset: data.Dataset) -> None:
    copies = RECIPES["digits"].augmented_copies + 1
    count = len(dataset.train.labels) // copies
    np.testing.assert_array_equal(dataset.train.labels[:count], dataset.train.labels[count : 2 * count])
    assert not np.array_equal(dataset.train.images[:count], dataset.train.images[count : 2 * count])
