"""Heads of pictures: the form of a detector's or a segmenter's outputs, as their shapes and their values show it."""

from collections.abc import Iterator, Sequence
from itertools import permutations, product

import numpy as np

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.errors import OnnxletError
from onnxlet.session import open_session
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.picture_graph import preprocess_graph

TOLERANCE = 1e-4
"""The distance from 0 to 1 that rounding may give a probability."""


def find_head(task: str, outputs: Sequence[TensorSpec], classes: int) -> tuple[str, tuple[str, ...]]:
    """Return the head whose form a model's outputs have, and the names of these outputs in its order.

    Args:
        task: `object-detection` or `image-segmentation`.
        outputs: All outputs of the model.
        classes: The number of labels.

    Raises:
        UsageError: The outputs have no known form.
    """
    find = _detectors if task == "object-detection" else _segmenters
    known = [spec for spec in outputs if spec.shape is not None]
    for head, chosen in find(known, classes):
        return head, tuple(spec.name for spec in chosen)
    raise UsageError(
        f"--task {task}: expected outputs for {classes} labels in a known form, got {', '.join(map(str, outputs))}"
    )


def find_activation(model: OnnxFile, preprocess: ImagePreprocess, output: str) -> str:
    """Return what makes probabilities of an output's numbers, found by running the model on pictures.

    Raises:
        UsageError: The model does not run on them.
    """
    graph = open_session(preprocess_graph(preprocess, model.inputs[0].datatype))
    session = open_session(model.data)
    noise = np.random.default_rng(0).integers(0, 256, (preprocess.height, preprocess.width, preprocess.channels))
    for pixels in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        try:
            (tensor,) = graph.run({PREPROCESS_INPUT: to_tensor(pixels[None].astype(np.uint8))}, [PREPROCESS_OUTPUT])
            (found,) = session.run({model.inputs[0].name: tensor}, [output])
        except OnnxletError as error:
            raise UsageError(f"--preprocess: the model does not run on such a picture: {error}") from error
        numbers = np.frombuffer(found.buffer, DATATYPES[found.datatype.name].numpy)
        if numbers.min() < -TOLERANCE or numbers.max() > 1 + TOLERANCE:
            return "sigmoid"
    return "none"


def _detectors(outputs: Sequence[TensorSpec], classes: int) -> Iterator[tuple[str, Sequence[TensorSpec]]]:
    """Yield the detectors' heads that fit."""
    rows = [spec for spec in outputs if len(spec.shape or ()) == 3]
    for logits, boxes in permutations(rows, 2):
        if _size(boxes, 2) == 4 and _size(logits, 2) in {classes, classes + 1}:
            yield "rt-detr" if _size(logits, 2) == classes else "detr", (logits, boxes)
    for spec in rows:
        if _size(spec, 1) == 4 + classes:
            yield "yolov8", (spec,)
        elif _size(spec, 2) == 6:
            yield "end-to-end", (spec,)
        elif _size(spec, 2) == 5 + classes:
            yield "yolov5", (spec,)


def _segmenters(outputs: Sequence[TensorSpec], classes: int) -> Iterator[tuple[str, Sequence[TensorSpec]]]:
    """Yield the segmenters' heads that fit."""
    rows = [spec for spec in outputs if len(spec.shape or ()) == 3]
    planes = [spec for spec in outputs if len(spec.shape or ()) == 4]
    for spec, prototypes in product(rows, planes):
        count = _size(prototypes, 1)
        if isinstance(count, int) and _size(spec, 1) == 4 + classes + count:
            yield "yolov8", (spec, prototypes)
        elif isinstance(count, int) and _size(spec, 2) == 6 + count:
            yield "end-to-end", (spec, prototypes)
    for spec in planes:
        if _size(spec, 1) == 1 and classes <= 2:
            yield "mask", (spec,)
        elif _size(spec, 1) == classes:
            yield "classes", (spec,)


def _size(spec: TensorSpec, axis: int) -> int | str:
    return (spec.shape or ())[axis]
