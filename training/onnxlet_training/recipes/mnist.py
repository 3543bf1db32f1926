"""The recipes mnist and mnist-dense: 70,000 handwritten digits, 28x28, with two variants of the network."""

import numpy as np

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_training.networks.keras_network import KerasNetwork, Model
from onnxlet_training.recipe import Examples, Recipe
from onnxlet_training.recipes import digits
from onnxlet_training.recipes.arrays import read_builtin
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask


def load(source: Source) -> Examples:
    """Read the images and their digits from an `.npz` file in Keras's form, or else download them.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    images, labels = read_builtin(source, "mnist", "mnist.npz")
    return Examples(images[..., np.newaxis], labels, tuple("0123456789"))


def build_dense(shape: tuple[int, ...], classes: int) -> Model:
    """Build the network of `digits` with a dense layer of 64 before the last."""
    import keras
    from keras import layers

    *body, _ = digits.build(shape, classes).layers
    dense, last = layers.Dense(64, activation="relu"), layers.Dense(classes, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input(shape), *body, dense, last])


PREPROCESS = ImagePreprocess(height=28, width=28, channels=1)

RECIPE = Recipe(
    name="mnist",
    title="MNIST",
    load=load,
    network=KerasNetwork(digits.build),
    task=ClassificationTask(),
    epochs=5,
    batch_size=32,
    preprocess=PREPROCESS,
    fast_examples=1000,
)

DENSE = Recipe(
    name="mnist-dense",
    title="MNIST, with a dense layer",
    load=load,
    network=KerasNetwork(build_dense),
    task=ClassificationTask(),
    epochs=10,
    batch_size=32,
    preprocess=PREPROCESS,
    fast_examples=1000,
)
