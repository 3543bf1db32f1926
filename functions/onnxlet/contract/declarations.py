"""Declarations: how pictures become a model's input, and how its output becomes labels.

Publishing turns each declaration into a small ONNX graph, which is published next to the model's own graph.
"""

from __future__ import annotations

from onnxlet.contract.document import Document
from onnxlet.contract.generation import LAYOUTS
from onnxlet.record import Record

ACTIVATIONS = ("none", "softmax", "sigmoid")
CHANNELS = {1: "L", 3: "RGB"}
"""Pillow's mode for each number of channels to which an image may be decoded."""

PREPROCESS_INPUT = "images"
"""Input of the preprocess graph: UINT8 (batch, height, width, channels) with any height and width."""
PREPROCESS_OUTPUT = "tensor"
"""Output of the preprocess graph: the model's only input."""
PIXELS_INPUT = "output"
"""Input of the postprocess graph of a model that generates images: the model's output."""
PIXELS_OUTPUT = "images"
"""Output of the postprocess graph of a model that generates images: UINT8 (batch, height, width, channels)."""
POSTPROCESS_INPUTS = ("output", "k")
"""Inputs of a classifier's postprocess graph: the declared output, and how many classes to return, INT64 (1,)."""
POSTPROCESS_OUTPUTS = ("indices", "probabilities")
"""Outputs of a classifier's postprocess graph: INT64 and FP32 (batch, k), most probable first."""

MAX_SIDE_PIXELS = 4096
"""Height or width of the images that a model takes."""


class ImagePreprocess(Record):
    """The steps from an image to the model's input: resizing to height x width, then `(pixel * scale - mean) / std`.

    Training evaluates with the graph that this declaration generates, and functions run the same graph.
    """

    height: int
    """The height in pixels."""
    width: int
    """The width in pixels."""
    channels: int
    """1 (grey) or 3 (red, green, blue)."""
    layout: str = "NHWC"
    """`NHWC` (Keras) or `NCHW` (PyTorch)."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """One value, or one for each channel."""
    std: tuple[float, ...] = (1.0,)
    """One value, or one for each channel, other than 0."""


class Classification(Record):
    """The step from one of the model's outputs, with the shape (batch, classes), to labels with probabilities.

    A model with two labels may return one number for each row, the second label's: (batch, 1) or (batch,).
    """

    labels: tuple[str, ...]
    """One label for each class, in the order of the output."""
    activation: str = "none"
    """The function that makes probabilities: `none` if the output has them already, `softmax`, or `sigmoid`."""
    output: str | None = None
    """The output's name; None for the model's first output."""


def parse_preprocess(document: Document) -> ImagePreprocess:
    """Read the declaration of an image's preprocessing.

    Raises:
        ManifestError: a field is malformed.
    """
    defaults = ImagePreprocess(1, 1, 1)
    channels = document.integer("channels", 1, max(CHANNELS))
    if channels not in CHANNELS:
        raise document.error("channels", " or ".join(map(str, CHANNELS)))
    per_channel = (1, channels) if channels > 1 else (1,)
    has = document.content.__contains__
    std = document.numbers("std", per_channel) if has("std") else defaults.std
    if 0 in std:
        raise document.error("std", "numbers other than 0")
    return ImagePreprocess(
        height=document.integer("height", 1, MAX_SIDE_PIXELS),
        width=document.integer("width", 1, MAX_SIDE_PIXELS),
        channels=channels,
        layout=document.choice("layout", LAYOUTS) if has("layout") else defaults.layout,
        scale=document.number("scale") if has("scale") else defaults.scale,
        mean=document.numbers("mean", per_channel) if has("mean") else defaults.mean,
        std=std,
    )


def parse_classification(document: Document) -> Classification:
    """Read the declaration of a classification.

    Raises:
        ManifestError: a field is malformed.
    """
    labels = document.texts("labels")
    if not labels:
        raise document.error("labels", "at least one label")
    return Classification(labels, document.choice("activation", ACTIVATIONS), document.optional_text("output"))
