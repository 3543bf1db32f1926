"""Tasks of pictures: objects with boxes, masks, and vectors. The manifest's `preprocess` makes the model's input."""

from __future__ import annotations

from typing import Any

from onnxlet.contract.artifact import Role
from onnxlet.contract.document import Document
from onnxlet.contract.tasks.declaration import Declaration

DETECTION_HEADS = {"yolov5": 1, "yolov8": 1, "end-to-end": 1, "detr": 2, "rt-detr": 2, "rt-detr-rows": 1}
"""The forms of a detector's outputs, with the number of outputs.

`yolov5` is (batch, n, 5 + classes) and `yolov8`, which YOLO11 shares, is (batch, 4 + classes, n), with boxes as centre,
width and height in the pixels of the model's input. `end-to-end` (YOLOv10, YOLO26) is (batch, n, 6): corners, score and
class. `detr` and `rt-detr` are logits (batch, n, classes), DETR's with one more for nothing, and boxes (batch, n, 4)
from 0 to 1: centre, width and height. `rt-detr-rows` (Ultralytics) is (batch, n, 6): such a box, score and class.
"""
OVERLAPPING = ("yolov5", "yolov8")
"""The heads whose boxes overlap, so that all but the best of them are removed."""

SEGMENTATION_HEADS = {"yolov8": 2, "end-to-end": 2, "classes": 1, "mask": 1}
"""The forms of a segmenter's outputs, with the number of outputs.

`yolov8` and `end-to-end` are those of a detector with coefficients at the end of each row, and prototypes of masks
(batch, coefficients, height, width). `classes` is a logit for each class and pixel (batch, classes, height, width), and
`mask` one number for each pixel (batch, 1, height, width).
"""
SUBTASKS = {"yolov8": "instance", "end-to-end": "instance", "classes": "semantic", "mask": "semantic"}
"""Hugging Face's name of what each form of outputs distinguishes: objects, or classes."""

ACTIVATIONS = ("none", "sigmoid")
"""The functions that make a probability of a pixel's number."""

POOLINGS = ("none", "cls", "mean")
"""The ways in which the vectors of patches become one: `none` for a single vector, `cls` for the first, or `mean`."""

MAX_MASK_BYTES = 128 * 1024 * 1024
"""The bytes of all masks of one picture, a byte for each pixel: as many are made as fit, at least one."""

MAX_ANSWERS = 1000
"""Objects or masks in one picture that a declaration may allow."""


class PictureTask(Declaration):
    """A task of pictures, whose answers a postprocess graph makes of the model's outputs."""

    output: tuple[str, ...]
    """The names of the outputs, in the order of the head."""

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("preprocess", "postprocess")

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads, in the order of its postprocess graph."""
        return self.output


class ObjectDetection(PictureTask):
    """Boxes around objects with labels and scores."""

    head: str
    """One of `DETECTION_HEADS`."""
    labels: tuple[str, ...]
    """One label for each class, in the order of the outputs."""
    threshold: float = 0.25
    """The score above which an object is answered, unless the request names another."""
    overlap: float = 0.7
    """The overlap (intersection over union) above which the worse of two boxes of a class is removed."""
    at_most: int = 300
    """The most objects in one picture; the best are kept."""


class ImageSegmentation(PictureTask):
    """Masks of objects or classes at the picture's size."""

    head: str
    """One of `SEGMENTATION_HEADS`."""
    labels: tuple[str, ...]
    """One label for each class, in the order of the outputs. A `mask` has its label, or one for the rest before it."""
    activation: str = "none"
    """The function that makes a probability of the number of a `mask`: `none` or `sigmoid`."""
    threshold: float = 0.25
    """The score above which an object is answered, unless the request names another. Classes are always answered."""
    mask_threshold: float = 0.5
    """The probability above which a pixel belongs to an object or a `mask`, unless the request names another."""
    overlap: float = 0.7
    """The overlap (intersection over union) above which the worse of two boxes of a class is removed."""
    at_most: int = 100
    """The most masks of one picture; the best are kept."""


class ImageFeatures(PictureTask):
    """A vector for each picture, made of (batch, d), (batch, patches, d) or (batch, d, height, width)."""

    pooling: str = "none"
    """One of `POOLINGS`."""
    normalize: bool = False
    """Whether each vector is divided by its length."""


def parse(document: Document) -> PictureTask:
    """Read the declaration of a task of pictures.

    Raises:
        ManifestError: a field is malformed or unknown.
    """
    name = document.choice("name", tuple(_PARSERS))
    output = document.texts("output")
    return _PARSERS[name](document, name, output)


def _parse_detection(document: Document, name: str, output: tuple[str, ...]) -> ObjectDetection:
    document.require_fields(ObjectDetection._fields, all_of_them=False)
    head = document.choice("head", tuple(DETECTION_HEADS))
    _require_outputs(document, output, DETECTION_HEADS[head])
    return ObjectDetection(name, output, head, _labels(document), **_limits(document, "threshold", "overlap"))


def _parse_segmentation(document: Document, name: str, output: tuple[str, ...]) -> ImageSegmentation:
    document.require_fields(ImageSegmentation._fields, all_of_them=False)
    head = document.choice("head", tuple(SEGMENTATION_HEADS))
    _require_outputs(document, output, SEGMENTATION_HEADS[head])
    labels = _labels(document)
    if head == "mask" and len(labels) > 2:
        raise document.error("labels", "one label, or one for the rest of the picture before it")
    fields = _limits(document, "threshold", "mask_threshold", "overlap")
    if document.has("activation"):
        fields["activation"] = document.choice("activation", ACTIVATIONS)
    return ImageSegmentation(name, output, head, labels, **fields)


def _parse_features(document: Document, name: str, output: tuple[str, ...]) -> ImageFeatures:
    document.require_fields(ImageFeatures._fields, all_of_them=False)
    _require_outputs(document, output, 1)
    pooling = document.choice("pooling", POOLINGS) if document.has("pooling") else POOLINGS[0]
    return ImageFeatures(name, output, pooling, document.has("normalize") and document.boolean("normalize"))


_PARSERS = {
    "object-detection": _parse_detection,
    "image-segmentation": _parse_segmentation,
    "image-feature-extraction": _parse_features,
}
"""The function that reads the declaration of each task."""


def _require_outputs(document: Document, output: tuple[str, ...], count: int) -> None:
    if len(output) != count:
        raise document.error("output", f"the names of {count} output{'s' * (count > 1)}")


def _labels(document: Document) -> tuple[str, ...]:
    labels = document.texts("labels")
    if not labels:
        raise document.error("labels", "at least one label")
    return labels


def _limits(document: Document, *names: str) -> dict[str, Any]:
    """Return the numbers from 0 to 1 that a document has, and how many answers it allows."""
    fields: dict[str, Any] = {name: document.number(name) for name in names if document.has(name)}
    for name, value in fields.items():
        if not 0 <= value <= 1:
            raise document.error(name, "a number from 0 to 1")
    if document.has("at_most"):
        fields["at_most"] = document.integer("at_most", 1, MAX_ANSWERS)
    return fields
