"""The recipe gan: new digits, from two PyTorch networks that compete with each other.

Source: I. Goodfellow et al., "Generative Adversarial Networks", 2014; A. Radford, L. Metz, S. Chintala, "Unsupervised
Representation Learning with Deep Convolutional Generative Adversarial Networks", 2016 (the form of the networks).
"""

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.generation import ImageGeneration
from onnxlet_training.networks.feed import Batch
from onnxlet_training.networks.torch_network import Measures, Module, Optimizer, Part, TorchNetwork
from onnxlet_training.recipe import Dataset, Recipe
from onnxlet_training.recipes import cnn
from onnxlet_training.tasks.sampling import SamplingTask, latent_vectors

LATENT = 64
SAMPLES = 256
"""The number of latent vectors on which the exported generator is compared with the network."""
LEARNING_RATE = 2e-4
MOMENTUM = 0.5
"""Adam's first decay rate; with its default of 0.9 the training is unstable (Radford et al.)."""
REAL = 0.9
"""The discriminator's target for a real image: below 1, so that it never becomes certain (Salimans et al. 2016)."""


def build(dataset: Dataset) -> Module:  # noqa: ARG001 - the images have one size
    """Build a generator of two transposed convolutions and a discriminator of two convolutions."""
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


def optimizers(module: Module) -> list[Optimizer]:
    """Return an optimizer for each network."""
    import torch

    networks = (module.get_submodule("generator"), module.get_submodule("discriminator"))
    return [torch.optim.Adam(network.parameters(), LEARNING_RATE, (MOMENTUM, 0.999)) for network in networks]


def step(module: Module, optimizers: list[Optimizer], batch: Batch) -> Measures:
    """Train the discriminator to tell real images from generated ones, then the generator to deceive it."""
    import torch

    from onnxlet_training.networks.torch_trainer import descend

    generator, discriminator = module.get_submodule("generator"), module.get_submodule("discriminator")
    judge = torch.nn.functional.binary_cross_entropy_with_logits
    images = batch.features
    generated = generator(torch.randn(len(images), LATENT, device=images.device))

    of_real, of_generated = discriminator(images), discriminator(generated.detach())
    mistaken = judge(of_real, torch.full_like(of_real, REAL)) + judge(of_generated, torch.zeros_like(of_generated))
    descend(discriminator, optimizers[1], mistaken)

    of_generated = discriminator(generated)
    detected = judge(of_generated, torch.ones_like(of_generated))
    descend(generator, optimizers[0], detected)
    return {"loss": detected, "discriminator": mistaken}


def measure(module: Module, batch: Batch) -> Measures:
    """Return how much the means and deviations of pixels differ between real and generated images.

    The networks' own losses say which of them is ahead, not how good the images are.
    """
    import torch

    images = batch.features
    generated = module.get_submodule("generator")(torch.randn(len(images), LATENT, device=images.device))
    means = (images.mean(dim=0) - generated.mean(dim=0)).square().mean()
    deviations = (images.std(dim=0) - generated.std(dim=0)).square().mean()
    return {"loss": means + deviations}


RECIPE = Recipe(
    name="gan",
    title="New handwritten digits, by a generative adversarial network",
    load=cnn.load_grey,
    network=TorchNetwork(
        build=build,
        measure=measure,
        parts=(Part("", ("latent",), ("images",), "generator", lambda _dataset: (latent_vectors(SAMPLES, LATENT),)),),
        optimizers=optimizers,
        step=step,
    ),
    task=SamplingTask(ImageGeneration("latent", "images", layout="NCHW", scale=127.5, shift=127.5), LATENT),
    epochs=60,
    batch_size=32,
    # -1 to 1, as the generator's tanh gives
    preprocess=ImagePreprocess(height=28, width=28, channels=1, layout="NCHW", mean=(0.5,), std=(0.5,)),
)
