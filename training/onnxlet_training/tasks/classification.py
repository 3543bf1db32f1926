"""Classification: one of several classes for each image or row of numbers."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from onnxlet.contract.declarations import CHANNELS, Classification
from onnxlet.contract.example import Example
from onnxlet.media import media_types
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet_publishing.errors import ModelError
from onnxlet_training.errors import DataError
from onnxlet_training.evaluate import METRICS, evaluate
from onnxlet_training.pictures import write_series
from onnxlet_training.recipe import (
    INPUT,
    Array,
    Dataset,
    Examples,
    Fitted,
    Images,
    Labels,
    Measured,
    Options,
    Recipe,
    Serving,
)
from onnxlet_training.training_statistics import compute_statistics

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
MIN_EXAMPLES_OF_A_CLASS = 7
"""The fewest examples of a class that can be divided among three parts."""
EXAMPLES = "examples"
"""The folder, in a run's folder, of pictures of single test examples."""
SHOWN = 16
"""The number of test examples in the report."""
SHOWN_PIXELS = 160
"""The largest side of a picture in the report; larger images are thinned out."""
SAMPLES = 64
"""The number of test examples that are sent through the functions."""
MAX_STATISTICS_ROWS = 5000
"""The number of rows behind the training statistics; more rows would not make them more useful."""


@dataclass(frozen=True)
class ClassificationTask:
    """A network whose output is (batch, classes) probabilities, or logits with an activation."""

    activation: str = "none"
    """The function that turns the output into probabilities: `softmax`, or `none` if it already is."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """Split so that each class has the same proportion in every part.

        Raises:
            DataError: there are fewer than two classes, or a class has too few examples.
        """
        counts = np.bincount(examples.targets, minlength=len(examples.labels))
        if len(examples.labels) < 2:
            raise DataError(f"expected at least two classes, got {', '.join(examples.labels) or 'none'}")
        for label, count in zip(examples.labels, counts, strict=True):
            if count < MIN_EXAMPLES_OF_A_CLASS:
                raise DataError(f"class {label!r}: expected at least {MIN_EXAMPLES_OF_A_CLASS} examples, got {count}")
        held_out = VALIDATION_SHARE + TEST_SHARE
        train, rest = _divide(np.arange(len(examples.targets)), examples.targets, held_out, options.seed)
        validation, test = _divide(rest, examples.targets, TEST_SHARE / held_out, options.seed)
        return train, validation, test

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Measure accuracy, precision, recall, F1, ROC and calibration."""
        probabilities = self.probabilities(fitted.predict(dataset.test.features))
        evaluation = evaluate(probabilities, dataset.test.targets, dataset.labels)
        metrics = {name: evaluation[name] for name in METRICS if evaluation[name] is not None}
        headline = f"accuracy {metrics['accuracy']:.4f}, mean F1 {metrics['f1']:.4f}"
        document = {**evaluation, "least_sure": _least_sure(probabilities, dataset)}
        # The statistics are those of examples to which no weight was fitted.
        features = np.concatenate([dataset.validation.features, dataset.test.features])[:MAX_STATISTICS_ROWS]
        statistics = compute_statistics({INPUT: features}, self.probabilities(fitted.predict(features)))
        return Measured(metrics, document, headline, statistics)

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> Serving:  # noqa: ARG002 - the protocol's
        """Declare the labels, and for images how they become the input."""
        example = Example(*_payload(dataset.test.inputs[0], is_image=recipe.preprocess is not None))
        classification = Classification(dataset.labels, self.activation)
        return Serving(preprocess=recipe.preprocess, classification=classification, example=example)

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Send test examples through the functions and compare their labels with the network's.

        Raises:
            ModelError: a label differs.
        """
        test = dataset.test
        samples = min(SAMPLES, len(test))
        expected = fitted.predict(test.to_model(test.inputs[:samples])).argmax(axis=1)
        for example, best in zip(test.inputs[:samples], expected, strict=True):
            (prediction,) = payloads.predict(
                model, *_payload(example, is_image=model.manifest.preprocess is not None), {"top_k": 1}
            )
            if prediction["label"] != dataset.labels[best]:
                raise ModelError(
                    f"{model.manifest.model}: expected the network's label {dataset.labels[best]!r}, got "
                    f"{prediction['label']!r} from the functions"
                )
        kind = "PNG files" if model.manifest.preprocess else "arrays"
        return f"the functions gave the same label for {samples} {kind}"

    def draw(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:  # noqa: ARG002 - as above
        """Write a picture of each test example that is hardest to classify."""
        (folder / EXAMPLES).mkdir(exist_ok=True)
        for entry in measured.document["least_sure"]:
            example, path = dataset.test.inputs[entry["position"]], folder / entry["picture"]
            if example.ndim == 3:
                step = -(-max(example.shape[:2]) // SHOWN_PIXELS)
                path.write_bytes(to_png(example[::step, ::step]))
            else:
                write_series(example.reshape(len(example), -1), path)

    def probabilities(self, output: Array) -> Array:
        """Return the network's output as probabilities."""
        if self.activation == "none":
            return output
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        probabilities: Array = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities


def _least_sure(probabilities: Array, dataset: Dataset) -> list[dict[str, Any]]:
    """Return the test examples whose true class got the lowest probabilities, the lowest first."""
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
    """Encode an image, (height, width, channels), as a PNG file."""
    height, width, channels = image.shape
    buffer = BytesIO()
    Image.frombytes(CHANNELS[channels], (width, height), image.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def _payload(example: Array, *, is_image: bool) -> tuple[str, bytes]:
    """Return the media type and the bytes that a client sends for an example."""
    if is_image:
        return "image/png", to_png(example)
    buffer = BytesIO()
    np.save(buffer, example)
    return media_types.NPY, buffer.getvalue()


def _divide(positions: Labels, targets: Labels, share: float, seed: int) -> tuple[Labels, Labels]:
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(positions, test_size=share, stratify=targets[positions], random_state=seed)
    return first, second
