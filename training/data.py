"""Data: read what a recipe names, split it, and pass it through the graph that the functions will run."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from onnxlet.contract.manifest import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from training.graphs import Graph, preprocess_graph
from training.recipe import Images, Labels, Options, Recipe

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
FAST_IMAGES = 600

Inputs = npt.NDArray[np.float32]
"""What the model takes: (count, height, width, channels) for `NHWC`."""


@dataclass(frozen=True)
class Split:
    """One part of the data, as it was read and as the model takes it."""

    images: Images
    inputs: Inputs
    labels: Labels


@dataclass(frozen=True)
class Dataset:
    """The three parts, which share no image, and the digest of what was read."""

    train: Split
    validation: Split
    test: Split
    sha256: str


def load(recipe: Recipe, options: Options) -> Dataset:
    """Read the recipe's data and split it, each class in the same proportion in every part."""
    images, labels = recipe.load()
    sha256 = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if options.is_fast:
        images, labels = images[:FAST_IMAGES], labels[:FAST_IMAGES]
    held_out = VALIDATION_SHARE + TEST_SHARE
    train, rest = _divide(np.arange(len(labels)), labels, held_out, options.seed)
    validation, test = _divide(rest, labels, TEST_SHARE / held_out, options.seed)

    train_images, train_labels = images[train], labels[train]
    if not options.is_fast:
        train_images, train_labels = _enlarge(recipe, train_images, train_labels, options.seed)
    return Dataset(
        train=_split(recipe.preprocess, train_images, train_labels),
        validation=_split(recipe.preprocess, images[validation], labels[validation]),
        test=_split(recipe.preprocess, images[test], labels[test]),
        sha256=sha256,
    )


def _divide(indices: Labels, labels: Labels, share: float, seed: int) -> tuple[Labels, Labels]:
    first, second = train_test_split(indices, test_size=share, stratify=labels[indices], random_state=seed)
    return first, second


def _enlarge(recipe: Recipe, images: Images, labels: Labels, seed: int) -> tuple[Images, Labels]:
    random = np.random.default_rng(seed)
    copies = [recipe.augment(images, random) for _ in range(recipe.augmented_copies)]
    return np.concatenate([images, *copies]), np.tile(labels, recipe.augmented_copies + 1)


def _split(declaration: ImagePreprocess, images: Images, labels: Labels) -> Split:
    graph = Graph(preprocess_graph(declaration))
    return Split(images, graph.run({PREPROCESS_INPUT: images}, PREPROCESS_OUTPUT), labels)
