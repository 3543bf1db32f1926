import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxlet_publishing.errors import UsageError
from onnxlet_training import data
from onnxlet_training.errors import DataError
from onnxlet_training.recipe import Dataset, Options
from onnxlet_training.recipes import RECIPES, find_recipe
from tests.helpers import training_sets as sets


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


def one_class(folder: Path) -> Path:
    (sets.write_photos(folder / "photos", 5) / "stripes").rename(folder / "elsewhere")
    return folder / "photos"


def no_photo(folder: Path) -> Path:
    (sets.write_photos(folder / "photos", 8) / "discs/3.jpg").write_bytes(b"I am no photo")
    return folder / "photos"


def few_photos(folder: Path) -> Path:
    return sets.write_photos(folder / "photos", 4)


def no_photos(folder: Path) -> Path:
    for kind in ("a", "b"):
        (folder / "photos" / kind).mkdir(parents=True)
    return folder / "photos"


def empty_text(folder: Path) -> Path:
    (folder / "empty.txt").write_text("")
    return folder / "empty.txt"


def binary_text(folder: Path) -> Path:
    Image.new("L", (9, 9)).save(folder / "text.png")
    return folder / "text.png"


def pickled(folder: Path) -> Path:
    np.savez(folder / "pickled.npz", x=np.array([{"an": "object"}], dtype=object), y=np.zeros(1, np.int64))
    return folder / "pickled.npz"


def other_arrays(folder: Path) -> Path:
    np.savez(folder / "other.npz", a=np.zeros(3))
    return folder / "other.npz"


def flat_series(folder: Path) -> Path:
    np.savez(folder / "flat.npz", x=np.zeros((50, 4), np.float32), y=np.zeros(50, np.int64))
    return folder / "flat.npz"


def text_as_archive(folder: Path) -> Path:
    (folder / "cifar.tar.gz").write_text("I am no archive")
    return folder / "cifar.tar.gz"


def no_zip(folder: Path) -> Path:
    (folder / "data.npz").write_bytes(b"PK\x03\x04 and no more")
    return folder / "data.npz"


def damaged_zip(folder: Path) -> Path:
    path = folder / "damaged.npz"
    np.savez_compressed(path, x=np.arange(10_000.0), y=np.zeros(50, np.int64))
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    return path


def one_array(folder: Path) -> Path:
    np.save(folder / "one.npy", np.zeros(3))
    return folder / "one.npy"


def series(folder: Path, x: object, y: object) -> Path:
    np.savez(folder / "series.npz", x=np.array(x), y=np.array(y))
    return folder / "series.npz"


def texts(folder: Path) -> Path:
    return series(folder, np.full((50, 4, 1), "a"), np.zeros(50, np.int64))


def not_finite(folder: Path) -> Path:
    return series(folder, np.full((50, 4, 1), np.nan, np.float32), np.arange(50) % 2)


def negative_classes(folder: Path) -> Path:
    return series(folder, np.zeros((50, 4, 1), np.float32), np.arange(50) - 1)


def a_billion_classes(folder: Path) -> Path:
    return series(folder, np.zeros((50, 4, 1), np.float32), np.arange(50) * 10**9)


def no_series(folder: Path) -> Path:
    return series(folder, np.zeros((0, 4, 1), np.float32), np.zeros(0, np.int64))


def images(folder: Path, shape: tuple[int, ...], label: int) -> Path:
    x, y = np.zeros((50, *shape), np.uint8), np.full(50, label)
    np.savez(folder / "images.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return folder / "images.npz"


def colours(folder: Path) -> Path:
    return images(folder, (28, 28, 3), 0)


def eleventh_class(folder: Path) -> Path:
    return images(folder, (28, 28), 10)


def two_sizes(folder: Path) -> Path:
    x, y = np.zeros((50, 28, 28), np.uint8), np.zeros(50, np.int64)
    np.savez(folder / "sizes.npz", x_train=x, y_train=y, x_test=x[:, :14], y_test=y)
    return folder / "sizes.npz"


def missing(folder: Path) -> Path:
    return folder / "nowhere"


@pytest.mark.training
@pytest.mark.parametrize(
    ("recipe", "make", "words"),
    [
        ("cats-dogs", missing, "no such file or folder"),
        ("cats-dogs", one_class, "expected two folders, one for each class, got discs"),
        ("cats-dogs", no_photo, "discs/3.jpg: expected a photo"),
        ("cats-dogs", few_photos, "expected at least"),
        ("cats-dogs", no_photos, "got none"),
        ("char-rnn", empty_text, "expected at least 640 characters, got 0"),
        ("char-rnn", binary_text, "expected a text file in UTF-8"),
        ("sequence-gru", pickled, "expected an .npz file of arrays"),
        ("sequence-gru", other_arrays, "expected arrays x, y, got a"),
        ("sequence-gru", flat_series, "expected x (count, time, features)"),
        ("mnist", other_arrays, "expected arrays x_train"),
        ("mnist", no_zip, "data.npz: expected an .npz file of arrays"),
        ("sequence-gru", damaged_zip, "damaged.npz: expected an .npz file of arrays"),
        ("sequence-gru", one_array, "one.npy: expected an .npz file of arrays"),
        ("sequence-gru", texts, "of numbers and y (count,) of integers"),
        ("sequence-gru", not_finite, "expected finite numbers, got NaN or infinity"),
        ("sequence-gru", negative_classes, "expected classes from 0, without gaps, got -1 to 48"),
        ("sequence-gru", a_billion_classes, "expected classes from 0, without gaps, got 0 to 49000000000"),
        ("sequence-gru", no_series, "expected x (count, time, features)"),
        ("mnist", colours, "expected images (count, height, width, 1), got (100, 28, 28, 3, 1)"),
        ("mnist", eleventh_class, "expected classes from 0 to 9, got 10 to 10"),
        ("mnist", two_sizes, "expected images of one size"),
        ("cifar10", text_as_archive, "expected an archive of .bin files"),
    ],
)
def test_data_that_cannot_be_used_are_refused_before_anything_is_trained(
    tmp_path: Path, recipe: str, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(UsageError if make is missing else DataError, match=re.escape(words)):
        data.load(find_recipe(recipe), Options(data=str(make(tmp_path)), is_fast=True), tmp_path / "cache")
