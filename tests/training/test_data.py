from pathlib import Path

import numpy as np
import pytest

from onnxlet_training import data
from onnxlet_training.networks.feed import Feed
from onnxlet_training.recipe import Dataset, Options
from onnxlet_training.recipes import RECIPES


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(tmp_path_factory.mktemp("data"), seed=3)


def load(cache: Path, **options: int) -> Dataset:
    return data.load(RECIPES["digits"], Options(**options), cache)  # type: ignore[arg-type]


def test_no_test_image_is_seen_in_training(dataset: Dataset) -> None:
    seen = {image.tobytes() for image in dataset.train.inputs}
    assert not any(image.tobytes() in seen for image in dataset.test.inputs)
    assert not any(image.tobytes() in seen for image in dataset.validation.inputs)


def test_every_class_is_in_every_part_in_proportion(dataset: Dataset) -> None:
    for split in (dataset.train, dataset.validation, dataset.test):
        shares = np.bincount(split.targets, minlength=10) / len(split)
        assert shares.min() > 0.08
        assert shares.max() < 0.12


def test_features_come_from_the_graph_that_the_functions_run(dataset: Dataset) -> None:
    assert dataset.test.features.dtype == np.float32
    np.testing.assert_allclose(dataset.test.features, dataset.test.inputs / 255, atol=1e-6)


def test_the_same_seed_gives_the_same_data_and_another_seed_another_split(dataset: Dataset, tmp_path: Path) -> None:
    again, other = load(tmp_path, seed=3), load(tmp_path, seed=4)
    np.testing.assert_array_equal(again.train.inputs, dataset.train.inputs)
    assert again.sha256 == other.sha256 == dataset.sha256
    assert not np.array_equal(other.test.targets, dataset.test.targets)


def feed(dataset: Dataset, rank: int = 0, world: int = 1) -> Feed:
    recipe = RECIPES["digits"]
    return Feed(dataset.train, 32, recipe.augment, recipe.augmented_copies, seed=0, rank=rank, world=world)


def test_a_batch_is_the_same_whoever_makes_it_and_another_in_each_epoch(dataset: Dataset) -> None:
    first, again = (feed(dataset).batch(epoch=1, index=5) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], feed(dataset).batch(epoch=2, index=5)[0])


def test_an_epoch_passes_over_every_image_and_its_changed_copies(dataset: Dataset) -> None:
    made = feed(dataset)
    originals = {image.tobytes() for image in dataset.train.features}
    unchanged = sum(image.tobytes() in originals for index in range(len(made)) for image in made.batch(0, index)[0])
    assert len(made) == len(dataset.train) * 5 // 32
    assert 0.15 < unchanged / (len(made) * 32) < 0.25


def test_several_processes_share_the_batches_and_have_no_example_in_common(dataset: Dataset) -> None:
    alone = feed(dataset)
    shared = [feed(dataset, rank, world=2) for rank in range(2)]
    assert len(shared[0]) == len(shared[1]) == len(alone) // 2
    for index in range(3):
        for rank in range(2):
            np.testing.assert_array_equal(shared[rank].batch(0, index)[0], alone.batch(0, 2 * index + rank)[0])
