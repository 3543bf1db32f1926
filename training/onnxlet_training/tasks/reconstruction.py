"""Reconstruction: a network draws its input again and scores how unusual it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.contract.generation import ImageGeneration
from onnxlet.models.generation import generate_images
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.generate import parse_generate
from onnxlet_publishing.errors import ModelError
from onnxlet_training.errors import DataError
from onnxlet_training.pictures import write_sheet
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe, Serving
from onnxlet_training.tasks.classification import to_png

RECONSTRUCTION, SCORE = "reconstruction", "score"
ANOMALY = 0
"""The class that training never sees; the network must give it higher scores."""
HELD_OUT = 0.15
SAMPLES = 16
SHOWN = 8
"""The number of images of each kind on the sheet."""
BINS = 30
TOLERANCE = 1e-3
"""The largest relative difference between the functions' score and the network's."""


@dataclass(frozen=True)
class ReconstructionTask:
    """A network measured by its reconstruction error, and by how well its score detects a class it never saw."""

    sampler: ImageGeneration
    """The declaration of the decoder, which is served as a model of its own."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """Keep one class for the test part, and divide the others.

        Raises:
            DataError: there are fewer than two classes.
        """
        if len(examples.labels) < 2:
            raise DataError("expected at least two classes, one of which is kept out of training")
        normal = np.flatnonzero(examples.targets != ANOMALY)
        order = np.random.default_rng(options.seed).permutation(normal)
        held_out = max(1, round(HELD_OUT * len(order)))
        unusual = np.flatnonzero(examples.targets == ANOMALY)
        return order[2 * held_out :], order[:held_out], np.concatenate([order[held_out : 2 * held_out], unusual])

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Measure the mean squared error of normal images, and the area under the score's ROC curve."""
        from sklearn.metrics import roc_auc_score

        test = dataset.test
        features = test.features
        reconstruction, scores = fitted.run(features)
        is_unusual = test.targets == ANOMALY
        error = float(np.square(reconstruction - features)[~is_unusual].mean())
        area = float(roc_auc_score(is_unusual, scores))
        metrics = {"reconstruction_error": error, "anomaly_auc": area}
        histogram = _histogram({"seen in training": scores[~is_unusual], "never seen": scores[is_unusual]})
        document = {**metrics, "anomaly": dataset.labels[ANOMALY], "score_histogram": histogram}
        return Measured(metrics, document, f"reconstruction error {error:.4f}, anomaly AUC {area:.4f}")

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> Serving:  # noqa: ARG002 - the protocol's
        """Declare images as input of the whole network, and latent vectors as input of the decoder."""
        return Serving(generation=self.sampler) if suffix else Serving(preprocess=recipe.preprocess)

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:
        """Compare the functions' scores with the network's, or draw twice from the same seed.

        Raises:
            ModelError: a score differs, or the same seed gave two images.
        """
        if suffix:
            request = parse_generate({"seed": 1})
            if [*generate_images(model, request)] != [*generate_images(model, request)]:
                raise ModelError(f"{model.manifest.model}: expected one image for the same seed, got two")
            return "the functions drew the same image twice"
        test = dataset.test
        samples = min(SAMPLES, len(test))
        _, scores = fitted.run(test.to_model(test.inputs[:samples]))
        for image, expected in zip(test.inputs[:samples], scores, strict=True):
            (prediction,) = payloads.predict(model, "image/png", to_png(image))
            if abs(prediction[SCORE] - expected) > TOLERANCE * abs(expected):
                raise ModelError(f"{model.manifest.model}: expected the score {expected}, got {prediction[SCORE]}")
        return f"the functions gave the same score for {samples} PNG files"

    def draw(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """Write a sheet of images, each above its reconstruction."""
        test = dataset.test
        reconstruction, _ = fitted.run(test.features)
        drawn = (reconstruction.transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)
        is_unusual = test.targets == ANOMALY
        kinds = [np.flatnonzero(~is_unusual), np.flatnonzero(is_unusual)]
        columns = min(SHOWN, *map(len, kinds))
        rows = [images[kind[:columns]] for kind in kinds for images in (test.inputs, drawn)]
        write_sheet(np.concatenate(rows), columns, folder / "reconstructions.png")


def _histogram(groups: dict[str, Array]) -> dict[str, Any]:
    """Return the share of each group between common edges."""
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=BINS)
    shares = {name: np.histogram(values, edges)[0] / max(1, len(values)) for name, values in groups.items()}
    return {"edges": edges.tolist(), "groups": {name: values.tolist() for name, values in shares.items()}}
