"""The recipe cnn: handwritten digits, with a convolutional PyTorch network."""

from dataclasses import replace

import numpy as np

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_training.networks.feed import Batch
from onnxlet_training.networks.torch_network import Measures, Module, TorchNetwork
from onnxlet_training.recipe import Dataset, Examples, Images, Recipe
from onnxlet_training.recipes import digits, mnist
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask


def load_grey(source: Source) -> Examples:
    """Read the images of `mnist` if `--data` names them, otherwise those of `digits`: (count, 28, 28, 1)."""
    return digits.load(source) if source.location is None else mnist.load(source)


def load(source: Source) -> Examples:
    """Read the same images in three channels: (count, 28, 28, 3)."""
    grey = load_grey(source)
    return replace(grey, inputs=np.repeat(grey.inputs, 3, axis=3))


def augment(images: Images, random: np.random.Generator) -> Images:
    """Augment as `digits` does, each channel alike."""
    return np.repeat(digits.augment(images[..., :1], random), 3, axis=3)


def build(dataset: Dataset) -> Module:
    """Build two padded convolutions with pooling, then two dense layers; the input is (batch, 3, 28, 28)."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (batch, 32, 14, 14)
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (batch, 64, 7, 7)
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512),
        nn.ReLU(),
        nn.Linear(512, len(dataset.labels)),
    )


def measure(module: Module, batch: Batch) -> Measures:
    """Return cross-entropy and accuracy."""
    import torch

    logits = module(batch.features)
    accuracy = (logits.argmax(dim=1) == batch.targets).float().mean()
    return {"loss": torch.nn.functional.cross_entropy(logits, batch.targets), "accuracy": accuracy}


RECIPE = Recipe(
    name="cnn",
    title="Handwritten digits, by PyTorch",
    load=load,
    network=TorchNetwork(build, measure),
    task=ClassificationTask(activation="softmax"),
    epochs=12,
    batch_size=32,
    preprocess=ImagePreprocess(height=28, width=28, channels=3, layout="NCHW"),
    augment=augment,
    augmented_copies=4,
)
