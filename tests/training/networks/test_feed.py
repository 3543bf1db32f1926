from dataclasses import replace

import numpy as np
import pytest

from onnxlet_training import data
from onnxlet_training.networks.feed import Feed, Review
from onnxlet_training.networks.processes import Processes
from onnxlet_training.recipe import Dataset, Options, Split
from onnxlet_training.recipes import RECIPES

SPLIT = Split(np.arange(45)[:, None], np.arange(45), lambda inputs: inputs)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return data.load(RECIPES["digits"], Options(seed=3), tmp_path_factory.mktemp("data"))


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


def test_the_shares_of_the_processes_are_the_batch() -> None:
    whole = Feed(SPLIT, 16, None, 0, seed=3)
    halves = [replace(whole, batch_size=8, rank=rank, world=2) for rank in (0, 1)]
    assert {len(each) for each in (whole, *halves)} == {2}
    for index in range(2):
        shares = [each.batch(1, index)[1] for each in halves]
        assert np.concatenate(shares).tolist() == whole.batch(1, index)[1].tolist()


def test_a_process_has_a_share_even_of_fewer_rows_than_a_batch_has() -> None:
    few = [Feed(SPLIT, 32, None, 0, seed=3, rank=rank, world=2) for rank in (0, 1)]
    assert [len(each.batch(0, 0)[1]) for each in few] == [32, 32]
    assert {row for each in few for row in each.batch(0, 0)[1]} == set(range(45))


@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (2, 2), (2, 8), (3, 3), (4, 64)])
def test_every_row_is_validated_on_and_few_twice(processes: int, devices: int) -> None:
    rows = Processes(0, processes, devices).rows(16)
    reviews = [Review(SPLIT, rows, devices, rank, processes) for rank in range(processes)]
    seen: list[int] = []
    for index in range(len(reviews[0])):
        shares = [review.batch(index)[1].tolist() for review in reviews]
        assert len({len(share) for share in shares}) == 1, "no process waits for another's rows"
        assert sum(map(len, shares)) % devices == 0
        seen += [row for share in shares for row in share]
    assert set(seen) == set(range(45))
    assert len(seen) - 45 < devices
