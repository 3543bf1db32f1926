"""Reconstruction: a network draws its input again and says how strange it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from onnxlet.contract.generation import ImageGeneration
from onnxlet.errors import ArtifactError, InvalidRequestError
from onnxlet.models.generation import generate_images
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.generate import parse_generate
from onnxlet_training import plots
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe
from onnxlet_training.tasks.classification import to_png

RECONSTRUCTION, SCORE = "reconstruction", "score"
ANOMALY = 0
"""The class that is kept out of training: what the model has never seen must get higher scores."""
HELD_OUT = 0.15
SAMPLES = 16
SHOWN = 8
"""Images of each kind on the sheet."""
BINS = 30
TOLERANCE = 1e-3


@dataclass(frozen=True)
class ReconstructionTask:
    """Measured by the reconstruction's error, and by how well the score tells a class that training never saw."""

    sampler: ImageGeneration
    """How the decoder alone is served."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """One class in the test part alone, the others divided.

        Raises:
            InvalidRequestError: fewer than two classes.
        """
        if len(examples.labels) < 2:
            raise InvalidRequestError("expected at least two classes, of which one is kept out of training")
        normal = np.flatnonzero(examples.targets != ANOMALY)
        order = np.random.default_rng(options.seed).permutation(normal)
        held_out = max(1, round(HELD_OUT * len(order)))
        strange = np.flatnonzero(examples.targets == ANOMALY)
        return order[2 * held_out :], order[:held_out], np.concatenate([order[held_out : 2 * held_out], strange])

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Mean squared error of the normal images' pixels, and the area under the ROC curve of the score."""
        test = dataset.test
        features = test.features
        reconstruction, scores = fitted.run(features)
        is_strange = test.targets == ANOMALY
        error = float(np.square(reconstruction - features)[~is_strange].mean())
        area = float(roc_auc_score(is_strange, scores))
        metrics = {"reconstruction_error": error, "anomaly_auc": area}
        histogram = _histogram(_groups(scores, is_strange))
        document = {**metrics, "anomaly": dataset.labels[ANOMALY], "score_histogram": histogram}
        return Measured(metrics, document, f"reconstruction error {error:.4f}, anomaly AUC {area:.4f}")

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> dict[str, Any]:  # noqa: ARG002 - the protocol's
        """Images in for the whole network, latent vectors in for the decoder."""
        return {"generation": self.sampler} if suffix else {"preprocess": recipe.preprocess}

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:
        """Ask as a client would: scores must be the network's, and a seed must give the same image twice.

        Raises:
            ArtifactError: they are not.
        """
        if suffix:
            request = parse_generate({"seed": 1})
            if [*generate_images(model, request)] != [*generate_images(model, request)]:
                raise ArtifactError(f"{model.manifest.model}: the same seed gave two images")
            return "the functions drew an image, twice the same"
        test = dataset.test
        samples = min(SAMPLES, len(test))
        _, scores = fitted.run(test.to_model(test.inputs[:samples]))
        for image, expected in zip(test.inputs[:samples], scores, strict=True):
            (prediction,) = payloads.predict(model, "image/png", to_png(image))
            if abs(prediction[SCORE] - expected) > TOLERANCE * abs(expected):
                raise ArtifactError(f"{model.manifest.model}: expected the score {expected}, got {prediction[SCORE]}")
        return f"the functions gave the same score for {samples} PNG files"

    def plot(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """Images above what the network makes of them, and the scores of both kinds."""
        test = dataset.test
        reconstruction, scores = fitted.run(test.features)
        drawn = (reconstruction.transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)
        is_strange = test.targets == ANOMALY
        kinds = [np.flatnonzero(~is_strange), np.flatnonzero(is_strange)]
        columns = min(SHOWN, *map(len, kinds))
        rows = [images[kind[:columns]] for kind in kinds for images in (test.inputs, drawn)]
        plots.write_sheet(np.concatenate(rows), columns, folder / "reconstructions.png")
        plots.write_histogram(_groups(scores, is_strange), "anomaly score", folder / "scores.png")


def _groups(scores: Array, is_strange: Array) -> dict[str, Array]:
    return {"seen in training": scores[~is_strange], "never seen": scores[is_strange]}


def _histogram(groups: dict[str, Array]) -> dict[str, Any]:
    """The share of each group between the same edges."""
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=BINS)
    shares = {name: np.histogram(values, edges)[0] / max(1, len(values)) for name, values in groups.items()}
    return {"edges": edges.tolist(), "groups": {name: values.tolist() for name, values in shares.items()}}
