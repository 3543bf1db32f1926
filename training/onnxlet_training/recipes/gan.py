"""gan: new digits, by two networks of PyTorch that play against each other.

Source: I. Goodfellow et al., "Generative Adversarial Networks", 2014; A. Radford, L. Metz, S. Chintala, "Unsupervised
Representation Learning with Deep Convolutional Generative Adversarial Networks", 2016 (the form of the networks).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.contract.generation import ImageGeneration
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet_training.networks.torch_network import Batch, Graph, TorchNetwork, descend
from onnxlet_training.recipe import Array, Dataset, Recipe
from onnxlet_training.recipes import cnn
from onnxlet_training.tasks.sampling import SamplingTask

if TYPE_CHECKING:
    import torch

LATENT = 64
SAMPLES = 256
LEARNING_RATE = 2e-4
MOMENTUM = 0.5
"""Radford et al.: Adam's own 0.9 makes the game unstable."""
REAL = 0.9
"""What the discriminator shall say of a real image: below 1, so that it never becomes sure (Salimans et al. 2016)."""


def build(dataset: Dataset) -> "torch.nn.Module":  # noqa: ARG001 - the images have one size
    """The generator: Dense, Reshape, two transposed convolutions. The discriminator: two convolutions, Dense."""
    from torch import nn

    generator = nn.Sequential(
        nn.Linear(LATENT, 64 * 7 * 7),
        nn.Unflatten(1, (64, 7, 7)),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),  # (batch, 32, 14, 14)
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),  # (batch, 64, 7, 7)
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 1),
    )
    return nn.ModuleDict({"generator": generator, "discriminator": discriminator})


def optimizers(module: "torch.nn.Module") -> "list[torch.optim.Optimizer]":
    """One for each player."""
    import torch

    players = (module.get_submodule("generator"), module.get_submodule("discriminator"))
    return [torch.optim.Adam(player.parameters(), LEARNING_RATE, (MOMENTUM, 0.999)) for player in players]


def step(
    module: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", batch: Batch
) -> Mapping[str, "torch.Tensor"]:
    """The discriminator learns to tell both kinds apart, then the generator to be taken for real."""
    import torch

    generator, discriminator = module.get_submodule("generator"), module.get_submodule("discriminator")
    judge = torch.nn.functional.binary_cross_entropy_with_logits
    images = batch.features
    made = generator(torch.randn(len(images), LATENT, device=images.device))

    of_real, of_made = discriminator(images), discriminator(made.detach())
    told = judge(of_real, torch.full_like(of_real, REAL)) + judge(of_made, torch.zeros_like(of_made))
    descend(discriminator, optimizers[1], told)

    of_made = discriminator(made)
    fooled = judge(of_made, torch.ones_like(of_made))
    descend(generator, optimizers[0], fooled)
    return {"loss": fooled, "discriminator": told}


def validate(module: "torch.nn.Module", batch: Batch) -> Mapping[str, "torch.Tensor"]:
    """How far the pixels' means and deviations of as many made images are from those of real ones.

    The players' own losses say how the game stands, not how good the images are.
    """
    import torch

    images = batch.features
    made = module.get_submodule("generator")(torch.randn(len(images), LATENT, device=images.device))
    means = (images.mean(dim=0) - made.mean(dim=0)).square().mean()
    deviations = (images.std(dim=0) - made.std(dim=0)).square().mean()
    return {"loss": means + deviations}


def _latent(_dataset: Dataset) -> tuple[Array]:
    return (np.random.default_rng(0).normal(size=(SAMPLES, LATENT)).astype(np.float32),)


RECIPE = Recipe(
    name="gan",
    title="New handwritten digits, by a generative adversarial network",
    load=cnn.load_grey,
    network=TorchNetwork(
        build=build,
        optimizers=optimizers,
        step=step,
        validate=validate,
        graphs=(Graph("", ("latent",), ("images",), lambda module: module.get_submodule("generator"), _latent),),
    ),
    task=SamplingTask(ImageGeneration("latent", "images", layout="NCHW", scale=127.5, shift=127.5), LATENT),
    epochs=60,
    batch_size=32,
    # -1 to 1, as the generator's tanh gives
    preprocess=ImagePreprocess(height=28, width=28, channels=1, layout="NCHW", mean=(0.5,), std=(0.5,)),
    augmented_copies=0,
)
