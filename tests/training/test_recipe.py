import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_training.recipe import Options
from onnxlet_training.recipes import RECIPES, find_recipe


def test_data_are_refused_by_a_recipe_that_reads_none() -> None:
    digits, mnist = find_recipe("digits"), find_recipe("mnist")
    digits.check_data(None)
    mnist.check_data("mnist.npz")
    with pytest.raises(UsageError, match="--data images: digits trains on its own data and takes no other"):
        digits.check_data("images")


def test_a_recipe_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="recipe 'nope': expected one of digits, mnist"):
        find_recipe("nope")
    assert all(find_recipe(name).name == name for name in RECIPES)


def test_options_are_recorded_without_what_changes_no_result() -> None:
    document = Options(data="x.npz", epochs=3, seed=7, is_fast=True, needs_gpu=True).to_document()
    assert document == {"data": "x.npz", "epochs": 3, "seed": 7, "fast": True}
