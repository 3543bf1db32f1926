"""Sampling: a generator turns random numbers into images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxlet.contract.generation import ImageGeneration
from onnxlet.models.generation import generate_images
from onnxlet.models.model import Model
from onnxlet.protocols.generate import parse_generate
from onnxlet_publishing.errors import ModelError
from onnxlet_training.pictures import write_sheet
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe, Serving

HELD_OUT = 0.15
FEATURES = 16
"""The number of principal components in which images are compared."""
COLUMNS = 8


@dataclass(frozen=True)
class SamplingTask:
    """A generator measured by the distance between the features of real and of generated images."""

    generation: ImageGeneration
    latent_size: int

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """Split at random."""
        order = np.random.default_rng(options.seed).permutation(len(examples.inputs))
        held_out = max(FEATURES + 1, round(HELD_OUT * len(order)))
        return order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Measure the Fréchet distance of generated images to test images, and of validation images for comparison."""
        from sklearn.decomposition import PCA

        real, other = _flat(dataset.test.features), _flat(dataset.validation.features)
        generated = _flat(self._sample(fitted, len(real)))
        components = PCA(FEATURES, random_state=0).fit(_flat(dataset.train.features))
        features = [components.transform(images) for images in (real, generated, other)]
        distance, between_real = (frechet_distance(features[0], others) for others in features[1:])
        metrics = {"feature_distance": distance}
        document = {**metrics, "feature_distance_of_real_images": between_real}
        headline = f"feature distance {distance:.2f} (between real images {between_real:.2f})"
        return Measured(metrics, document, headline)

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> Serving:  # noqa: ARG002 - the protocol's
        """Declare how random numbers become images."""
        return Serving(generation=self.generation)

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Draw two images twice with the functions' own code.

        Raises:
            ModelError: the same seed gave other images, or both images are the same.
        """
        request = parse_generate({"seed": 1, "count": 2})
        first, second = ([*generate_images(model, request)] for _ in range(2))
        if first != second or first[0] == first[1]:
            raise ModelError(f"{model.manifest.model}: expected two different images, the same for the same seed")
        return "the functions drew the same two images twice"

    def draw(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """Write a sheet of generated images."""
        generated = self._sample(fitted, COLUMNS**2) * self.generation.scale + self.generation.shift
        pixels = generated.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        write_sheet(pixels, COLUMNS, folder / "samples.png")

    def _sample(self, fitted: Fitted, count: int) -> Array:
        return fitted.predict(latent_vectors(count, self.latent_size))


def latent_vectors(count: int, size: int) -> Array:
    """Return normally distributed latent vectors, (count, size), the same in every call."""
    return np.random.default_rng(0).normal(size=(count, size)).astype(np.float32)


def frechet_distance(first: Array, second: Array) -> float:
    """Return the Fréchet distance between normal distributions of two sets of features, (count, features).

    Source: M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017.
    """
    from scipy import linalg

    means = first.mean(axis=0), second.mean(axis=0)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)
