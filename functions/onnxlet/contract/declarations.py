"""Declarations: how pictures become a model's input, and how its output becomes labels.

Publishing turns each declaration into a small ONNX graph, which is published next to the model's own graph.
"""

from __future__ import annotations

from typing import Any

from onnxlet.contract.document import Document
from onnxlet.contract.generation import LAYOUTS
from onnxlet.record import Record, to_dict

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


FITS = ("stretch", "letterbox", "pad", "crop")
RESAMPLINGS = ("bilinear", "bicubic")
COLOURS = ("RGB", "BGR")
ROUNDINGS = ("floor", "even")

MAX_SHRINKING = 4
"""The largest ratio of the shorter side to the longer side of the crop."""


class ImagePreprocess(Record):
    """The steps from an image to the model's input: fitting it to height x width, then `(pixel * scale - mean) / std`.

    Training evaluates with the graph that this declaration generates, and functions run the same graph.
    """

    height: int
    """The height in pixels."""
    width: int
    """The width in pixels."""
    channels: int
    """1 (grey) or 3 (colours)."""
    layout: str = "NHWC"
    """`NHWC` (Keras) or `NCHW` (PyTorch)."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """One value, or one for each channel in the model's order."""
    std: tuple[float, ...] = (1.0,)
    """One value, or one for each channel in the model's order, other than 0."""
    fit: str = "stretch"
    """`stretch` changes the ratio of the sides. `letterbox` and `pad` keep it, and fill the rest: on both sides, or to
    the right and below. `crop` resizes the shorter side to `shorter_side` and keeps the middle.
    """
    pad_value: float = 0.0
    """The value of the pixels that `letterbox` and `pad` add, from 0 to 255."""
    shorter_side: int | None = None
    """The shorter side in pixels before the middle is kept; only for `crop`."""
    margins: str = "floor"
    """The rounding of half a pixel of margin before the middle, for `crop`: `floor` (transformers) or `even`
    (torchvision).
    """
    colours: str = "RGB"
    """The order of the three colours: `RGB` or `BGR`."""
    resampling: str = "bilinear"
    """`bilinear` or `bicubic`."""
    antialias: bool = True
    """Whether shrinking averages all pixels, as Pillow and torchvision do. OpenCV's bilinear resampling does not."""

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to which an image is resized, before it is padded or cropped.

        Args:
            width: The width of the upright image in pixels.
            height: The height of the upright image in pixels.
        """
        if self.shorter_side is not None:
            shorter = min(width, height)
            return self.shorter_side * width // shorter, self.shorter_side * height // shorter
        if self.fit == "stretch":
            return self.width, self.height
        ratio = min(self.height / height, self.width / width)
        return max(1, round(width * ratio)), max(1, round(height * ratio))

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `parse_preprocess` reads; fields that came later are stored if they differ."""
        fields = to_dict(self)
        later = self._fields[self._fields.index("fit") :]
        return {name: value for name, value in fields.items() if name not in later or value != self._defaults[name]}


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
        ManifestError: a field is malformed or unknown.
    """
    document.require_fields(ImagePreprocess._fields, all_of_them=False)
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
        **_parse_fit(document),
        **_parse_colours(document, channels),
    )


def _parse_fit(document: Document) -> dict[str, Any]:
    """Read how an image is fitted to the model's size; a field that does not belong to its `fit` is refused."""
    has = document.content.__contains__
    fit = document.choice("fit", FITS) if has("fit") else FITS[0]
    own = {"letterbox": {"pad_value"}, "pad": {"pad_value"}, "crop": {"shorter_side", "margins"}}.get(fit, set())
    for field in {"pad_value", "shorter_side", "margins"} - own:
        if has(field):
            raise document.error(field, f"no such field for the fit {fit}")
    fields: dict[str, Any] = {"fit": fit}
    if fit == "crop":
        longest = max(document.integer("height", 1, MAX_SIDE_PIXELS), document.integer("width", 1, MAX_SIDE_PIXELS))
        fields["shorter_side"] = document.integer("shorter_side", longest, MAX_SHRINKING * longest)
    if has("margins"):
        fields["margins"] = document.choice("margins", ROUNDINGS)
    if has("pad_value"):
        fields["pad_value"] = document.number("pad_value")
        if not 0 <= fields["pad_value"] <= 255:
            raise document.error("pad_value", "a number from 0 to 255")
    return fields


def _parse_colours(document: Document, channels: int) -> dict[str, Any]:
    """Read the order of the colours, and how pixels are made of others."""
    has = document.content.__contains__
    fields: dict[str, Any] = {}
    if has("colours"):
        fields["colours"] = document.choice("colours", COLOURS if channels > 1 else COLOURS[:1])
    if has("resampling"):
        fields["resampling"] = document.choice("resampling", RESAMPLINGS)
    if has("antialias"):
        fields["antialias"] = document.boolean("antialias")
        if not fields["antialias"] and fields.get("resampling") == "bicubic":
            raise document.error("antialias", "true for bicubic resampling")
    return fields


def parse_classification(document: Document) -> Classification:
    """Read the declaration of a classification.

    Raises:
        ManifestError: a field is malformed.
    """
    labels = document.texts("labels")
    if not labels:
        raise document.error("labels", "at least one label")
    return Classification(labels, document.choice("activation", ACTIVATIONS), document.optional_text("output"))
