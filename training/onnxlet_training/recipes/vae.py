"""The recipe vae: reconstruct digits, score how unusual one is, and draw new ones, with a variational autoencoder.

Source: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014.
"""

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.generation import ImageGeneration
from onnxlet_training.networks.feed import Batch
from onnxlet_training.networks.torch_network import Measures, Module, Part, Tensor, TorchNetwork
from onnxlet_training.recipe import Dataset, Recipe
from onnxlet_training.recipes import cnn, digits
from onnxlet_training.tasks.reconstruction import RECONSTRUCTION, SCORE, ReconstructionTask
from onnxlet_training.tasks.sampling import latent_vectors

LATENT = 16
MAX_LOGIT = 13.8
"""The bound of a pixel's logit in the score, which limits the cost of a pixel that is certain and wrong."""
SAMPLES = 64
"""The number of latent vectors on which the exported decoder is compared with the network."""


def build(dataset: Dataset) -> Module:  # noqa: ARG001 - the images have one size
    """Build a convolutional encoder to means and log-variances, and a decoder back to 28 x 28 pixels."""
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

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            """Return each image decoded from the mean of its code, and its score, the negative ELBO."""
            mean, log_variance = self.encoder(images).chunk(2, dim=1)
            logits = self.decoder[:-1](mean)
            return torch.sigmoid(logits), _negative_elbo(images, logits, mean, log_variance)

    return Autoencoder()


def measure(module: Module, batch: Batch) -> Measures:
    """Return the negative ELBO: of a random code for each image while training, of the mean code otherwise."""
    import torch

    if not module.training:
        return {"loss": module(batch.features)[1].mean()}
    encoder, decoder = module.get_submodule("encoder"), module.get_submodule("decoder")
    mean, log_variance = encoder(batch.features).chunk(2, dim=1)
    code = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
    return {"loss": _negative_elbo(batch.features, decoder[:-1](code), mean, log_variance).mean()}


def _negative_elbo(images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return for each image, in nats, the cross-entropy of its pixels plus its code's divergence from a normal one.

    The cross-entropy is computed from the logits: the logarithm of a sigmoid near 0 or 1 has few correct digits, and
    ONNX Runtime and PyTorch differ in them.
    """
    import torch

    bounded = logits.clamp(-MAX_LOGIT, MAX_LOGIT)
    pixels = (torch.nn.functional.softplus(bounded) - images * bounded).sum(dim=(1, 2, 3))
    divergence = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum(dim=1)
    return pixels + divergence


RECIPE = Recipe(
    name="vae",
    title="Handwritten digits drawn again, by a variational autoencoder",
    load=cnn.load_grey,
    network=TorchNetwork(
        build=build,
        measure=measure,
        parts=(
            Part(outputs=(RECONSTRUCTION, SCORE)),
            Part("-sampler", ("latent",), ("images",), "decoder", lambda _dataset: (latent_vectors(SAMPLES, LATENT),)),
        ),
    ),
    task=ReconstructionTask(sampler=ImageGeneration("latent", "images", layout="NCHW")),
    epochs=30,
    batch_size=32,
    preprocess=ImagePreprocess(height=28, width=28, channels=1, layout="NCHW"),
    augment=digits.augment,
    augmented_copies=2,
)
