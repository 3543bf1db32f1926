"""Sampling: a generator makes images of random numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.decomposition import PCA

from onnxlet.contract.generation import ImageGeneration
from onnxlet.errors import ArtifactError
from onnxlet.models.generation import generate_images
from onnxlet.models.model import Model
from onnxlet.protocols.generate import parse_generate
from onnxlet_training import plots
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe

HELD_OUT = 0.15
FEATURES = 16
"""Principal components in which images are compared."""
COLUMNS = 8


@dataclass(frozen=True)
class SamplingTask:
    """Measured by the distance between the features of real and of made images."""

    generation: ImageGeneration
    latent_size: int

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """At random."""
        order = np.random.default_rng(options.seed).permutation(len(examples.inputs))
        held_out = max(FEATURES + 1, round(HELD_OUT * len(order)))
        return order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """The Fréchet distance to the test images, beside that of the validation images: what is real differs, too."""
        real, other = _flat(dataset.test.features), _flat(dataset.validation.features)
        made = _flat(self._sample(fitted, len(real)))
        components = PCA(FEATURES, random_state=0).fit(_flat(dataset.train.features))
        features = [components.transform(each) for each in (real, made, other)]
        distance, between_real = (frechet_distance(features[0], each) for each in features[1:])
        metrics = {"feature_distance": distance}
        document = {**metrics, "feature_distance_of_real_images": between_real}
        headline = f"feature distance {distance:.2f} (between real images {between_real:.2f})"
        return Measured(metrics, document, headline)

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> dict[str, Any]:  # noqa: ARG002 - the protocol's
        """How random numbers become images."""
        return {"generation": self.generation}

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Draw twice by the functions' own code.

        Raises:
            ArtifactError: the same seed gave two images.
        """
        request = parse_generate({"seed": 1, "count": 2})
        first, second = ([*generate_images(model, request)] for _ in range(2))
        if first != second or first[0] == first[1]:
            raise ArtifactError(f"{model.manifest.model}: expected two images, the same for the same seed")
        return "the functions drew two images, twice the same"

    def plot(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """A sheet of made images."""
        made = self._sample(fitted, COLUMNS**2) * self.generation.scale + self.generation.shift
        pixels = made.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        plots.write_sheet(pixels, COLUMNS, folder / "samples.png")

    def _sample(self, fitted: Fitted, count: int) -> Array:
        latent = np.random.default_rng(0).normal(size=(count, self.latent_size)).astype(np.float32)
        return fitted.predict(latent)


def frechet_distance(first: Array, second: Array) -> float:
    """Between the normal distributions of two sets of features (Heusel et al. 2017).

    Args:
        first: (count, features).
        second: (count, features).
    """
    means = first.mean(axis=0), second.mean(axis=0)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)
