"""Data: read what a recipe names, split it, and say how it becomes what the model takes."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnxlet.contract.manifest import PREPROCESS_INPUT, PREPROCESS_OUTPUT
from onnxlet.errors import InvalidRequestError
from onnxlet_publishing.graphs import Graph, preprocess_graph
from onnxlet_training.recipe import Array, Dataset, Examples, Options, Recipe, Split
from onnxlet_training.source import Source

MIN_EXAMPLES = 20
"""Fewer cannot be split into three parts that say anything."""


def load(recipe: Recipe, options: Options, cache: Path) -> Dataset:
    """Read a recipe's data and split it.

    Raises:
        InvalidRequestError: data that are missing, damaged or too few, or that the recipe would not read.
        StoreError: an object store does not answer.
    """
    recipe.check_data(options.data)
    examples = recipe.load(Source(options.data, cache))
    _check_examples(recipe, examples)
    sha256 = hashlib.sha256(examples.inputs.tobytes() + examples.targets.tobytes()).hexdigest()
    if options.is_fast:
        examples = _some(examples, recipe.fast_examples, options.seed)
    if len(examples.inputs) < MIN_EXAMPLES:
        raise InvalidRequestError(
            f"{recipe.name}: expected at least {MIN_EXAMPLES} examples, got {len(examples.inputs)}"
        )
    to_model = _to_model(recipe)
    train, validation, test = (
        Split(examples.inputs[positions], examples.targets[positions], to_model)
        for positions in recipe.task.split(examples, options)
    )
    return Dataset(train, validation, test, examples.labels, sha256)


def _check_examples(recipe: Recipe, examples: Examples) -> None:
    """Look whether a network can be trained on examples, which a user may have brought.

    Raises:
        InvalidRequestError: images of another form, numbers that are not finite, or classes without a label.
    """
    inputs, targets, classes = examples.inputs, examples.targets, len(examples.labels)
    if len(inputs) != len(targets):
        raise InvalidRequestError(f"{recipe.name}: expected a class for each example, got {len(targets)}")
    if recipe.preprocess is not None and (inputs.ndim != 4 or inputs.shape[3] != recipe.preprocess.channels):
        raise InvalidRequestError(
            f"{recipe.name}: expected images (count, height, width, {recipe.preprocess.channels}), got {inputs.shape}"
        )
    if not np.isfinite(inputs).all():
        raise InvalidRequestError(f"{recipe.name}: expected finite numbers, got NaN or infinity")
    if classes and len(targets) and not (targets.min() >= 0 and targets.max() < classes):
        raise InvalidRequestError(
            f"{recipe.name}: expected classes from 0 to {classes - 1}, got {targets.min()} to {targets.max()}"
        )


def _some(examples: Examples, count: int, seed: int) -> Examples:
    """At most so many examples, in their order."""
    if len(examples.inputs) <= count:
        return examples
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples.inputs))[:count])
    return replace(examples, inputs=examples.inputs[chosen], targets=examples.targets[chosen])


def _to_model(recipe: Recipe) -> Callable[[Array], Array]:
    if recipe.preprocess is None:
        return lambda inputs: inputs
    graph = Graph(preprocess_graph(recipe.preprocess))
    return lambda images: graph.run({PREPROCESS_INPUT: images}, PREPROCESS_OUTPUT)
