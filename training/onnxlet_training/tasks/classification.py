"""Classification: one of several classes for each image or row of numbers."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from onnxlet.contract.manifest import CHANNELS, Classification
from onnxlet.contract.training_statistics import Reference
from onnxlet.errors import ArtifactError, InvalidRequestError
from onnxlet.media import media_types
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet_training import plots
from onnxlet_training.evaluate import evaluate
from onnxlet_training.recipe import INPUT, Array, Dataset, Examples, Fitted, Images, Labels, Measured, Options, Recipe
from onnxlet_training.training_statistics import make_reference

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
EXAMPLES = "examples"
"""The folder in a run's for pictures of single test examples."""
SHOWN = 16
SHOWN_PIXELS = 160
"""The side of a picture in the report; larger images are thinned out."""
SAMPLES = 64
"""Test examples that are sent through the functions."""
MAX_REFERENCE_ROWS = 5000
"""More say nothing that requests could be held against."""


@dataclass(frozen=True)
class ClassificationTask:
    """The network's output is (batch, classes) probabilities."""

    activation: str = "none"
    """What turns the output into probabilities where it is none: `softmax`."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """Each class in the same proportion in every part.

        Raises:
            InvalidRequestError: fewer than two classes, or one with too few examples.
        """
        counts = np.bincount(examples.targets, minlength=len(examples.labels))
        if len(examples.labels) < 2:
            raise InvalidRequestError(f"expected at least two classes, got {', '.join(examples.labels) or 'none'}")
        for label, count in zip(examples.labels, counts, strict=True):
            if count < 7:
                raise InvalidRequestError(f"class {label!r}: expected at least 7 examples, got {count}")
        held_out = VALIDATION_SHARE + TEST_SHARE
        train, rest = _divide(np.arange(len(examples.targets)), examples.targets, held_out, options.seed)
        validation, test = _divide(rest, examples.targets, TEST_SHARE / held_out, options.seed)
        return train, validation, test

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Accuracy, precision, recall, F1, ROC and calibration on the test split."""
        probabilities = self.probabilities(fitted.predict(dataset.test.features))
        evaluation = evaluate(probabilities, dataset.test.targets, dataset.labels)
        headline = f"accuracy {evaluation.accuracy:.4f}, mean F1 {evaluation.f1:.4f}"
        document = {**evaluation.to_document(), "least_sure": _least_sure(probabilities, dataset)}
        return Measured(evaluation.metrics(), document, headline, self._reference(fitted, dataset))

    def _reference(self, fitted: Fitted, dataset: Dataset) -> Reference:
        """Of the examples that were held out: the validation split chose the epoch, and no weight was fitted to it."""
        features = np.concatenate([dataset.validation.features, dataset.test.features])[:MAX_REFERENCE_ROWS]
        return make_reference({INPUT: features}, self.probabilities(fitted.predict(features)))

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> dict[str, Any]:  # noqa: ARG002 - the protocol's
        """Labels, and for images how they become the input."""
        return {
            "preprocess": recipe.preprocess,
            "classification": Classification(dataset.labels, self.activation),
        }

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Send test examples through the functions: the network's classes must come back."""
        test = dataset.test
        samples = min(SAMPLES, len(test))
        expected = fitted.predict(test.to_model(test.inputs[:samples])).argmax(axis=1)
        for example, best in zip(test.inputs[:samples], expected, strict=True):
            (prediction,) = payloads.predict(model, *_payload(model, example), top_k=1)
            if prediction["label"] != dataset.labels[best]:
                raise ArtifactError(
                    f"{model.manifest.model}: the functions say {prediction['label']!r} where the network says "
                    f"{dataset.labels[best]!r}"
                )
        kind = "PNG files" if model.manifest.preprocess else "arrays"
        return f"the functions gave the same label for {samples} {kind}"

    def plot(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """The confusion matrix, and the examples that are hardest to tell."""
        plots.write_confusion(measured.document, folder / "confusion.png")
        (folder / EXAMPLES).mkdir(exist_ok=True)
        for each in measured.document["least_sure"]:
            example, path = dataset.test.inputs[each["position"]], folder / each["picture"]
            if example.ndim == 3:
                step = -(-max(example.shape[:2]) // SHOWN_PIXELS)
                path.write_bytes(to_png(example[::step, ::step]))
            else:
                plots.write_series(example.reshape(len(example), -1), path)

    def probabilities(self, output: Array) -> Array:
        """The network's output as probabilities."""
        if self.activation == "none":
            return output
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        probabilities: Array = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities


def _least_sure(probabilities: Array, dataset: Dataset) -> list[dict[str, Any]]:
    """The test examples of whose true class the network was least sure, the worst first."""
    of_truth = probabilities[np.arange(len(probabilities)), dataset.test.targets]
    predicted = probabilities.argmax(axis=1)
    return [
        {
            "position": int(position),
            "picture": f"{EXAMPLES}/{place}.png",
            "truth": dataset.labels[dataset.test.targets[position]],
            "predicted": dataset.labels[predicted[position]],
            "probability": float(probabilities[position, predicted[position]]),
        }
        for place, position in enumerate(of_truth.argsort()[:SHOWN])
    ]


def to_png(image: Images) -> bytes:
    """An image, (height, width, channels), as the bytes of a PNG file."""
    height, width, channels = image.shape
    buffer = BytesIO()
    Image.frombytes(CHANNELS[channels], (width, height), image.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def _payload(model: Model, example: Array) -> tuple[str, bytes]:
    """An example as a client sends it."""
    if model.manifest.preprocess is not None:
        return "image/png", to_png(example)
    buffer = BytesIO()
    np.save(buffer, example)
    return media_types.NPY, buffer.getvalue()


def _divide(positions: Labels, targets: Labels, share: float, seed: int) -> tuple[Labels, Labels]:
    first, second = train_test_split(positions, test_size=share, stratify=targets[positions], random_state=seed)
    return first, second
