"""vae: digits drawn again by a variational autoencoder of PyTorch: how strange one is, and new ones.

Source: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.contract.generation import ImageGeneration
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet_training.networks.torch_network import Batch, Graph, TorchNetwork, descend
from onnxlet_training.recipe import INPUT, Array, Dataset, Recipe
from onnxlet_training.recipes import cnn, digits
from onnxlet_training.tasks.reconstruction import RECONSTRUCTION, SCORE, ReconstructionTask

if TYPE_CHECKING:
    import torch

LATENT = 16
MAX_LOGIT = 13.8
"""Of a pixel in the score: one that the network is certain of, and wrong about, costs no more than this."""
SAMPLES = 64
"""Latent vectors in which the exported decoder is held against the network's."""


def build(dataset: Dataset) -> "torch.nn.Module":  # noqa: ARG001 - the images have one size
    """A convolutional encoder to means and log-variances, and a decoder back to 28 x 28 pixels."""
    import torch
    from torch import nn

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 32, 3, stride=2, padding=1),
                nn.ReLU(),  # (batch, 32, 14, 14)
                nn.Conv2d(32, 64, 3, stride=2, padding=1),
                nn.ReLU(),  # (batch, 64, 7, 7)
                nn.Flatten(),
                nn.Linear(64 * 7 * 7, 2 * LATENT),
            )
            self.decoder = nn.Sequential(
                nn.Linear(LATENT, 64 * 7 * 7),
                nn.ReLU(),
                nn.Unflatten(1, (64, 7, 7)),
                nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
                nn.ReLU(),  # (batch, 32, 14, 14)
                nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
                nn.Sigmoid(),
            )

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """The images as the means of their codes give them, and how strange each is: the negative ELBO."""
            mean, log_variance = self.encoder(images).chunk(2, dim=1)
            logits = self.decoder[:-1](mean)
            return torch.sigmoid(logits), _negative_elbo(images, logits, mean, log_variance)

    return Autoencoder()


def step(
    module: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", batch: Batch
) -> Mapping[str, "torch.Tensor"]:
    """The negative ELBO of a code drawn for each image, down by one step."""
    import torch

    encoder, decoder = module.get_submodule("encoder"), module.get_submodule("decoder")
    mean, log_variance = encoder(batch.features).chunk(2, dim=1)
    code = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
    loss = _negative_elbo(batch.features, decoder[:-1](code), mean, log_variance).mean()
    descend(module, optimizers[0], loss)
    return {"loss": loss}


def validate(module: "torch.nn.Module", batch: Batch) -> Mapping[str, "torch.Tensor"]:
    """The negative ELBO at the means."""
    return {"loss": module(batch.features)[1].mean()}


def _negative_elbo(
    images: "torch.Tensor", logits: "torch.Tensor", mean: "torch.Tensor", log_variance: "torch.Tensor"
) -> "torch.Tensor":
    """Return for each image, in nats, the cross-entropy of its pixels and the code's divergence from a normal one.

    The cross-entropy is computed from the logits: the logarithm of a sigmoid near 0 or 1 has few right digits, and they
    differ between ONNX Runtime and PyTorch.
    """
    import torch

    bounded = logits.clamp(-MAX_LOGIT, MAX_LOGIT)
    pixels = (torch.nn.functional.softplus(bounded) - images * bounded).sum(dim=(1, 2, 3))
    divergence = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum(dim=1)
    return pixels + divergence


def _latent(_dataset: Dataset) -> tuple[Array]:
    return (np.random.default_rng(0).normal(size=(SAMPLES, LATENT)).astype(np.float32),)


RECIPE = Recipe(
    name="vae",
    title="Handwritten digits drawn again, by a variational autoencoder",
    load=cnn.load_grey,
    network=TorchNetwork(
        build=build,
        optimizers=cnn.optimizers,
        step=step,
        validate=validate,
        graphs=(
            Graph("", (INPUT,), (RECONSTRUCTION, SCORE), lambda module: module, lambda data: (data.test.features,)),
            Graph("-sampler", ("latent",), ("images",), lambda module: module.get_submodule("decoder"), _latent),
        ),
    ),
    task=ReconstructionTask(sampler=ImageGeneration("latent", "images", layout="NCHW")),
    epochs=30,
    batch_size=32,
    preprocess=ImagePreprocess(height=28, width=28, channels=1, layout="NCHW"),
    augment=digits.augment,
    augmented_copies=2,
)
