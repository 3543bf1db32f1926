"""Boxes: the graph from a detector's outputs to objects in the pixels of the client's picture.

Source: Ultralytics, `utils/nms.py` and `utils/ops.py`; transformers, `post_process_object_detection`.
"""

from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.declaration import BOXES, OUTPUT, SIZE, THRESHOLD
from onnxlet.contract.tasks.pictures import OVERLAPPING, ImageSegmentation, ObjectDetection
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing import picture_geometry
from onnxlet_publishing.graph_builder import GraphBuilder, Tensors

CLASS_OFFSET = 7680.0
"""The distance in pixels that separates the boxes of two classes, so that they do not overlap (Ultralytics' max_wh)."""


class Objects(NamedTuple):
    """The names of the objects in a graph."""

    boxes: str
    """FP32 (n, 4): the corners in the pixels of the model's input."""
    scores: str
    """FP32 (n,)."""
    classes: str
    """INT64 (n,)."""
    rest: str = ""
    """FP32 (n, coefficients) of a segmenter; empty for a detector."""


def detection_graph(task: ObjectDetection, preprocess: ImagePreprocess, outputs: list[TensorSpec]) -> bytes:
    """Return the postprocess graph of a detector, for one picture.

    Args:
        task: The task.
        preprocess: The steps that made the model's input of the picture.
        outputs: The outputs that the task names, in its order.
    """
    graph = GraphBuilder()
    objects = add_objects(graph, task, preprocess, add_outputs(graph, len(outputs)))
    own_boxes = add_own_boxes(graph, preprocess, objects.boxes)
    for name, result in zip(BOXES, (own_boxes, objects.scores, objects.classes), strict=True):
        graph.add("Identity", result, result=name)
    boxes, scores, classes = BOXES
    results: Tensors = {
        boxes: (TensorProto.FLOAT, ["n", 4]),
        scores: (TensorProto.FLOAT, ["n"]),
        classes: (TensorProto.INT64, ["n"]),
    }
    return graph.to_bytes("postprocess", inputs_of(outputs, THRESHOLD), results)


def inputs_of(outputs: list[TensorSpec], *thresholds: str) -> Tensors:
    """Return the inputs of a postprocess graph: the model's outputs, the picture's size and thresholds."""
    tensors: dict[str, Any] = {
        OUTPUT.format(index): (spec.datatype.onnx, [f"size{index}_{axis}" for axis in range(len(spec.shape or ()))])
        for index, spec in enumerate(outputs)
    }
    return {**tensors, SIZE: (TensorProto.INT64, [2]), **{name: (TensorProto.FLOAT, [1]) for name in thresholds}}


def add_outputs(graph: GraphBuilder, count: int) -> list[str]:
    """Add the nodes that take the first row of each of the model's outputs, as FP32."""
    first = graph.constant(0, np.int64)
    rows = [graph.add("Gather", OUTPUT.format(index), first, axis=0) for index in range(count)]
    return [graph.add("Cast", row, to=TensorProto.FLOAT) for row in rows]


def add_objects(
    graph: GraphBuilder, task: ObjectDetection | ImageSegmentation, preprocess: ImagePreprocess, rows: list[str]
) -> Objects:
    """Add the nodes that find the objects above the threshold, the best first."""
    candidates = _ADD_CANDIDATES[task.head](graph, task, preprocess, rows)
    if task.head in OVERLAPPING:
        kept = _add_best_of_overlapping(graph, task, candidates)
    else:
        kept = _add_best(graph, task, candidates.scores)
    return Objects(*(name and graph.add("Gather", name, kept, axis=0) for name in candidates))


def add_own_boxes(graph: GraphBuilder, preprocess: ImagePreprocess, boxes: str) -> str:
    """Add the nodes from corners in the model's input to corners in the picture, which none of them leaves."""
    size = graph.integers(preprocess.height, preprocess.width)
    resized = picture_geometry.add_resized(graph, preprocess, SIZE, size)
    offset = picture_geometry.add_offset(graph, preprocess, resized, size)
    corners = graph.integers(1, 0, 1, 0)
    resized, own, offset = (
        graph.add("Gather", graph.add("Cast", name, to=TensorProto.FLOAT), corners) for name in (resized, SIZE, offset)
    )
    scaled = graph.add("Div", graph.add("Sub", boxes, offset), graph.add("Div", resized, own))
    return graph.add("Min", graph.add("Max", scaled, graph.constant([0])), own)


def _add_best_of_overlapping(graph: GraphBuilder, task: ObjectDetection | ImageSegmentation, found: Objects) -> str:
    """Add the nodes that remove all but the best of the boxes of a class that overlap; return the positions."""
    shift = graph.add("Mul", graph.add("Cast", found.classes, to=TensorProto.FLOAT), graph.constant([CLASS_OFFSET]))
    apart = graph.add("Add", found.boxes, graph.add("Unsqueeze", shift, graph.integers(1)))
    selected = graph.add(
        "NonMaxSuppression",
        graph.add("Unsqueeze", apart, graph.integers(0)),
        graph.add("Unsqueeze", found.scores, graph.integers(0, 1)),
        graph.integers(task.at_most),
        graph.constant([task.overlap]),
        THRESHOLD,
    )
    return graph.add("Gather", selected, graph.constant(2, np.int64), axis=1)


def _add_best(graph: GraphBuilder, task: ObjectDetection | ImageSegmentation, scores: str) -> str:
    """Add the nodes that find the best scores above the threshold; return their positions."""
    count = graph.add("Min", graph.add("Shape", scores), graph.integers(task.at_most))
    best, positions = graph.add_many("TopK", (scores, count), ["best_scores", "best_positions"], axis=0)
    above = graph.add("Greater", best, THRESHOLD)
    return graph.add("Compress", positions, above, axis=0)


def _add_slice(graph: GraphBuilder, rows: str, start: int, end: int) -> str:
    """Add a slice of the last axis; an `end` of 0 means the last number."""
    end = end or 2**31
    return graph.add("Slice", rows, graph.integers(start), graph.integers(end), graph.integers(-1))


def _add_column(graph: GraphBuilder, rows: str, index: int) -> str:
    return graph.add("Gather", rows, graph.constant(index, np.int64), axis=1)


def _add_corners(graph: GraphBuilder, boxes: str) -> str:
    """Add the nodes from the centre, the width and the height of boxes to their corners."""
    centre, size = _add_slice(graph, boxes, 0, 2), _add_slice(graph, boxes, 2, 4)
    half = graph.add("Mul", size, graph.constant([0.5]))
    return graph.add("Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=1)


def _add_best_class(graph: GraphBuilder, probabilities: str) -> tuple[str, str]:
    """Add the nodes that find the best class of each row; return its probability and its number."""
    best = graph.add("ReduceMax", probabilities, graph.integers(1), keepdims=0)
    return best, graph.add("ArgMax", probabilities, axis=1, keepdims=0)


def _add_yolov5(graph: GraphBuilder, _task: Any, _preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    confidence = _add_slice(graph, rows[0], 4, 5)
    probabilities = graph.add("Mul", _add_slice(graph, rows[0], 5, 0), confidence)
    return Objects(_add_corners(graph, rows[0]), *_add_best_class(graph, probabilities))


def _add_yolov8(graph: GraphBuilder, task: Any, _preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    objects = graph.add("Transpose", rows[0], perm=[1, 0])
    end = 4 + len(task.labels)
    best = _add_best_class(graph, _add_slice(graph, objects, 4, end))
    rest = _add_slice(graph, objects, end, 0) if len(rows) > 1 else ""
    return Objects(_add_corners(graph, objects), *best, rest)


def _add_end_to_end(graph: GraphBuilder, _task: Any, _preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    classes = graph.add("Cast", _add_column(graph, rows[0], 5), to=TensorProto.INT64)
    rest = _add_slice(graph, rows[0], 6, 0) if len(rows) > 1 else ""
    return Objects(_add_slice(graph, rows[0], 0, 4), _add_column(graph, rows[0], 4), classes, rest)


def _add_detr(graph: GraphBuilder, _task: Any, preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    probabilities = _add_slice(graph, graph.add("Softmax", rows[0], axis=-1), 0, -1)  # the last class is no object
    return Objects(_add_unit_boxes(graph, preprocess, rows[1]), *_add_best_class(graph, probabilities))


def _add_rt_detr(graph: GraphBuilder, _task: Any, preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    """Add the nodes that take the best pairs of a query and a class, as many as there are queries."""
    count, classes = (graph.add("Shape", rows[0], start=axis, end=axis + 1) for axis in (0, 1))
    every = graph.add("Reshape", graph.add("Sigmoid", rows[0]), graph.integers(-1))
    scores, pairs = graph.add_many("TopK", (every, count), ["pair_scores", "pairs"], axis=0)
    query = graph.add("Div", pairs, classes)
    boxes = graph.add("Gather", _add_unit_boxes(graph, preprocess, rows[1]), query, axis=0)
    return Objects(boxes, scores, graph.add("Mod", pairs, classes))


def _add_rt_detr_rows(graph: GraphBuilder, task: Any, preprocess: ImagePreprocess, rows: list[str]) -> Objects:
    found = _add_end_to_end(graph, task, preprocess, rows)
    return Objects(_add_unit_boxes(graph, preprocess, found.boxes), found.scores, found.classes)


def _add_unit_boxes(graph: GraphBuilder, preprocess: ImagePreprocess, boxes: str) -> str:
    """Add the nodes from centres and sizes from 0 to 1 to corners in the pixels of the model's input."""
    sides = graph.constant([preprocess.width, preprocess.height] * 2)
    return graph.add("Mul", _add_corners(graph, boxes), sides)


_ADD_CANDIDATES = {
    "yolov5": _add_yolov5,
    "yolov8": _add_yolov8,
    "end-to-end": _add_end_to_end,
    "detr": _add_detr,
    "rt-detr": _add_rt_detr,
    "rt-detr-rows": _add_rt_detr_rows,
}
"""The function that reads each form of outputs."""
