"""Verify: the candidate, served by the functions' own code, must answer as the network did."""

from io import BytesIO

import numpy as np
from PIL import Image

from onnxlet import payloads
from onnxlet.contract.manifest import CHANNELS
from onnxlet.errors import ArtifactError
from training.data import Split
from training.evaluate import Probabilities
from training.publish import Candidate, check

SAMPLES = 64
"""Test images that are sent through the functions as PNG files."""


def verify(candidate: Candidate, test: Split, expected: Probabilities) -> int:
    """Send real test images through the functions' decoder, graphs and labels.

    Returns:
        How many were sent.

    Raises:
        ArtifactError: the functions cannot load the candidate, or answer differently.
    """
    assert candidate.classification is not None, "recipes are classifiers"
    labels = candidate.classification.labels
    model = check(candidate)
    samples = min(SAMPLES, len(test.images))
    for image, probabilities in zip(test.images[:samples], expected, strict=False):
        (prediction,) = payloads.predict(model, "image/png", to_png(image), top_k=1)
        best = int(np.argmax(probabilities))
        if prediction["label"] != labels[best]:
            raise ArtifactError(
                f"{candidate.name}: the functions say {prediction['label']!r} where the network says {labels[best]!r}"
            )
    return samples


def to_png(image: "np.typing.NDArray[np.uint8]") -> bytes:
    """An image, (height, width, channels), as the bytes of a PNG file."""
    height, width, channels = image.shape
    buffer = BytesIO()
    Image.frombytes(CHANNELS[channels], (width, height), image.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()
