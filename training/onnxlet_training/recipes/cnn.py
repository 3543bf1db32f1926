"""cnn: handwritten digits by a convolutional network of PyTorch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.contract.manifest import ImagePreprocess
from onnxlet_training.networks.torch_network import Batch, Graph, TorchNetwork, descend
from onnxlet_training.recipe import INPUT, OUTPUT, Dataset, Examples, Images, Recipe
from onnxlet_training.recipes import digits, mnist
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask

if TYPE_CHECKING:
    import torch


def load_grey(source: Source) -> Examples:
    """The images of `mnist` where its file is brought, else those of `digits`: (count, 28, 28, 1)."""
    return digits.load(source) if source.location is None else mnist.load(source)


def load(source: Source) -> Examples:
    """The same in three channels: (count, 28, 28, 3)."""
    grey = load_grey(source)
    return replace(grey, inputs=np.repeat(grey.inputs, 3, axis=3))


def augment(images: Images, random: np.random.Generator) -> Images:
    """As in `digits`, each channel alike."""
    return np.repeat(digits.augment(images[..., :1], random), 3, axis=3)


def build(dataset: Dataset) -> "torch.nn.Module":
    """Two padded convolutions with pooling, a dense layer of 512, then one of 10; input (batch, 3, 28, 28)."""
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


def optimizers(module: "torch.nn.Module") -> "list[torch.optim.Optimizer]":
    """One, for all weights."""
    import torch

    return [torch.optim.Adam(module.parameters(), lr=1e-3)]


def step(
    module: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", batch: Batch
) -> Mapping[str, "torch.Tensor"]:
    """Cross-entropy down by one step."""
    measures = validate(module, batch)
    descend(module, optimizers[0], measures["loss"])
    return measures


def validate(module: "torch.nn.Module", batch: Batch) -> Mapping[str, "torch.Tensor"]:
    """Cross-entropy and accuracy."""
    import torch

    logits = module(batch.features)
    accuracy = (logits.argmax(dim=1) == batch.targets).float().mean()
    return {"loss": torch.nn.functional.cross_entropy(logits, batch.targets), "accuracy": accuracy}


RECIPE = Recipe(
    name="cnn",
    title="Handwritten digits, by PyTorch",
    load=load,
    network=TorchNetwork(
        build=build,
        optimizers=optimizers,
        step=step,
        validate=validate,
        graphs=(Graph("", (INPUT,), (OUTPUT,), lambda module: module, lambda dataset: (dataset.test.features,)),),
    ),
    task=ClassificationTask(activation="softmax"),
    epochs=12,
    batch_size=32,
    preprocess=ImagePreprocess(height=28, width=28, channels=3, layout="NCHW"),
    augment=augment,
    augmented_copies=4,
)
