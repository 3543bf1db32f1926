"""Data: read the examples of a recipe, check them and split them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.picture_graph import preprocess_graph
from onnxlet_training.errors import DataError
from onnxlet_training.recipe import Array, Dataset, Examples, Options, Recipe, Split
from onnxlet_training.source import Source

MIN_EXAMPLES = 20
"""The fewest examples that can be split into three meaningful parts."""


def load(recipe: Recipe, options: Options, cache: Path) -> Dataset:
    """Read a recipe's data and split them.

    Raises:
        UsageError: `--data` names nothing that exists, or the recipe reads no data but its own.
        DataError: the data are damaged, too few or of another form.
        StoreError: an object store does not answer.
    """
    recipe.check_data(options.data)
    examples = recipe.load(Source(options.data, cache))
    _check_examples(recipe, examples)
    sha256 = hashlib.sha256(examples.inputs.tobytes() + examples.targets.tobytes()).hexdigest()
    if options.is_fast:
        examples = _sample(examples, recipe.fast_examples, options.seed)
    if len(examples.inputs) < MIN_EXAMPLES:
        raise DataError(f"{recipe.name}: expected at least {MIN_EXAMPLES} examples, got {len(examples.inputs)}")
    to_model = _to_model(recipe)
    train, validation, test = (
        Split(examples.inputs[positions], examples.targets[positions], to_model)
        for positions in recipe.task.split(examples, options)
    )
    return Dataset(train, validation, test, examples.labels, sha256)


def _check_examples(recipe: Recipe, examples: Examples) -> None:
    """Check that a network can be trained on examples, which may be the user's own.

    Raises:
        DataError: images of another form, numbers that are not finite, or classes without a label.
    """
    inputs, targets, classes = examples.inputs, examples.targets, len(examples.labels)
    if len(inputs) != len(targets):
        raise DataError(f"{recipe.name}: expected a class for each example, got {len(targets)}")
    if recipe.preprocess is not None and (inputs.ndim != 4 or inputs.shape[3] != recipe.preprocess.channels):
        raise DataError(
            f"{recipe.name}: expected images (count, height, width, {recipe.preprocess.channels}), got {inputs.shape}"
        )
    if not np.isfinite(inputs).all():
        raise DataError(f"{recipe.name}: expected finite numbers, got NaN or infinity")
    if classes and len(targets) and not (targets.min() >= 0 and targets.max() < classes):
        raise DataError(
            f"{recipe.name}: expected classes from 0 to {classes - 1}, got {targets.min()} to {targets.max()}"
        )


def _sample(examples: Examples, count: int, seed: int) -> Examples:
    """Return at most this many random examples, in their original order."""
    if len(examples.inputs) <= count:
        return examples
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples.inputs))[:count])
    return replace(examples, inputs=examples.inputs[chosen], targets=examples.targets[chosen])


def _to_model(recipe: Recipe) -> Callable[[Array], Array]:
    if recipe.preprocess is None:
        return lambda inputs: inputs
    graph = Graph(preprocess_graph(recipe.preprocess))
    return lambda images: graph.run({PREPROCESS_INPUT: images}, PREPROCESS_OUTPUT)
