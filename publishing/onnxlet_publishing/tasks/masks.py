"""Masks: the graph from a segmenter's outputs to masks at the size of the client's picture.

The masks of a large picture are made one by one, and as many as fit into `MAX_MASK_BYTES`, the best first.

Source: Ultralytics, `process_mask_native` and `scale_masks`; transformers, `post_process_semantic_segmentation`.
"""

import numpy as np
from onnx import TensorProto

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.declaration import MASK_THRESHOLD, MASKS, SIZE, THRESHOLD
from onnxlet.contract.tasks.pictures import MAX_MASK_BYTES, ImageSegmentation
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing import picture_geometry
from onnxlet_publishing.graph_builder import GraphBuilder, Shape, Tensors
from onnxlet_publishing.tasks.boxes import Objects, add_objects, add_outputs, add_own_boxes, inputs_of

NEAR_BEST = 3
"""A class that is at no position of the output among this many best ones is not looked for between positions."""

PLANE: Shape = [1, 1, "rows", "columns"]


def segmentation_graph(task: ImageSegmentation, preprocess: ImagePreprocess, outputs: list[TensorSpec]) -> bytes:
    """Return the postprocess graph of a segmenter, for one picture.

    Args:
        task: The task.
        preprocess: The steps that made the model's input of the picture.
        outputs: The outputs that the task names, in its order.
    """
    graph = GraphBuilder()
    add = {"classes": _add_classes, "mask": _add_mask}.get(task.head, _add_instances)
    results = add(graph, task, preprocess, add_outputs(graph, len(outputs)))
    for name, result in zip(MASKS, results, strict=True):
        graph.add("Identity", result, result=name)
    masks, scores, classes = MASKS
    tensors: Tensors = {
        masks: (TensorProto.UINT8, ["n", "height", "width"]),
        scores: (TensorProto.FLOAT, ["n"]),
        classes: (TensorProto.INT64, ["n"]),
    }
    return graph.to_bytes("postprocess", inputs_of(outputs, THRESHOLD, MASK_THRESHOLD), tensors)


# ---------------------------------------------------------------------- one mask for each object


def _add_instances(
    graph: GraphBuilder, task: ImageSegmentation, preprocess: ImagePreprocess, rows: list[str]
) -> tuple[str, str, str]:
    """Add the nodes that make a mask for each object: its coefficients times the prototypes, inside of its box."""
    found = add_objects(graph, task, preprocess, rows)
    limit = graph.add("Min", graph.add("Shape", found.scores), _add_limit(graph))
    first, step = graph.integers(0), graph.integers(0)
    found = Objects(*(graph.add("Slice", name, first, limit, step) for name in found))
    boxes = add_own_boxes(graph, preprocess, found.boxes)
    scale = _add_scale(graph, preprocess, rows[1])
    level = graph.add("Log", graph.add("Div", MASK_THRESHOLD, graph.add("Sub", graph.constant([1]), MASK_THRESHOLD)))
    body = GraphBuilder("mask_")
    row = body.add("Gather", found.rest, "mask_index", axis=0)
    weights = body.add("Reshape", row, body.integers(1, -1, 1, 1))
    plane = body.add("ReduceSum", body.add("Mul", weights, rows[1]), body.integers(1), keepdims=1)
    scores = _add_at_picture(body, preprocess, plane, scale)
    inside = _add_inside(body, body.add("Gather", boxes, "mask_index", axis=0))
    mask = body.add("And", body.add("Greater", scores, level), inside)
    _add_bytes(body, body.add("Squeeze", mask, body.integers(0, 1)), "mask_bytes")
    body.add("Identity", "mask_go_on", result="mask_continues")
    loop = body.to_graph(
        "mask",
        {"mask_index": (TensorProto.INT64, []), "mask_go_on": (TensorProto.BOOL, [])},
        {"mask_continues": (TensorProto.BOOL, []), "mask_bytes": (TensorProto.UINT8, ["height", "width"])},
    )
    count = graph.add("Reshape", limit, graph.constant([], np.int64))
    masks = graph.add("Loop", count, "", body=loop)
    return _add_without_empty(graph, masks, found.scores, found.classes)


def _add_scale(graph: GraphBuilder, preprocess: ImagePreprocess, prototypes: str) -> str:
    """Add the nodes that compute the size at which the padding around the picture is a whole number of pixels.

    Prototypes are usually a fourth of the model's input. Ultralytics enlarges them by 1, 2 or 4 before it cuts off the
    padding, and then to the picture's size; each enlargement changes the border of a mask a little.
    """
    size = graph.add("Shape", prototypes, start=1, end=3)
    whole = graph.add("Mul", size, graph.integers(4))
    padding = graph.add("Sub", whole, picture_geometry.add_resized(graph, preprocess, SIZE, whole))
    if preprocess.fit == "stretch":
        return size
    rest = [graph.add("ReduceMax", graph.add("Mod", padding, graph.integers(by)), keepdims=1) for by in (8, 4)]
    is_whole = [graph.add("Equal", value, graph.integers(0)) for value in rest]
    two_or_four = graph.add("Where", is_whole[1], graph.integers(2), graph.integers(4))
    return graph.add("Mul", size, graph.add("Where", is_whole[0], graph.integers(1), two_or_four))


def _add_inside(body: GraphBuilder, box: str) -> str:
    """Add the nodes that say which pixels lie inside of a box (4,): BOOL (height, width)."""
    sides = body.add("Cast", SIZE, to=TensorProto.FLOAT)
    insides = []
    for axis, (start, end) in enumerate(((1, 3), (0, 2))):
        side = body.add("Gather", sides, body.constant(axis, np.int64))
        numbers = body.add("Range", body.constant(0), side, body.constant(1))
        low, high = (body.add("Gather", box, body.constant(index, np.int64)) for index in (start, end))
        insides.append(body.add("And", body.add("GreaterOrEqual", numbers, low), body.add("Less", numbers, high)))
    return body.add("And", body.add("Unsqueeze", insides[0], body.integers(1)), insides[1])


# ---------------------------------------------------------------------- one mask for each class


def _add_classes(
    graph: GraphBuilder, task: ImageSegmentation, preprocess: ImagePreprocess, rows: list[str]
) -> tuple[str, str, str]:
    """Add the nodes that find the best class of each pixel, class by class, and make a mask for each class."""
    near = graph.add("Min", graph.integers(NEAR_BEST), graph.add("Shape", rows[0], start=0, end=1))
    _, classes = graph.add_many("TopK", (rows[0], near), ["near_logits", "near_classes"], axis=0)
    classes = graph.add("Unique", classes, sorted=1)
    grid = graph.add("Shape", rows[0], start=1, end=3)
    shape = graph.add("Concat", graph.integers(1, 1), SIZE, axis=0)
    lowest = graph.add("Expand", graph.constant(-np.inf), shape)
    nothing = graph.add("Expand", graph.constant(0, np.int32), shape)
    body = GraphBuilder("class_")
    number = body.add("Gather", classes, "class_index", axis=0)
    plane = body.add("Unsqueeze", body.add("Gather", rows[0], number, axis=0), body.integers(0, 1))
    logits = _add_at_picture(body, preprocess, plane, grid)
    is_better = body.add("Greater", logits, "class_best")
    body.add("Max", logits, "class_best", result="class_best_after")
    body.add("Where", is_better, body.add("Cast", number, to=TensorProto.INT32), "class_map", result="class_map_after")
    body.add("Identity", "class_go_on", result="class_continues")
    state = {"": (TensorProto.FLOAT, PLANE), "map": (TensorProto.INT32, PLANE)}
    loop = body.to_graph(
        "class",
        {
            "class_index": (TensorProto.INT64, []),
            "class_go_on": (TensorProto.BOOL, []),
            "class_best": state[""],
            "class_map": state["map"],
        },
        {"class_continues": (TensorProto.BOOL, []), "class_best_after": state[""], "class_map_after": state["map"]},
    )
    count = graph.add("Reshape", graph.add("Shape", classes), graph.constant([], np.int64))
    _, numbers = graph.add_many("Loop", (count, "", lowest, nothing), ["best", "map"], body=loop)
    order = _add_largest(graph, task, classes, numbers, count)
    largest = graph.add("Gather", classes, order)
    planes = graph.add("Squeeze", numbers, graph.integers(0))
    narrow = graph.add("Cast", largest, to=TensorProto.INT32)
    masks = graph.add("Equal", planes, graph.add("Unsqueeze", narrow, graph.integers(1, 2)))
    return _add_bytes(graph, masks), _add_no_scores(graph, largest), largest


def _add_largest(graph: GraphBuilder, task: ImageSegmentation, classes: str, numbers: str, count: str) -> str:
    """Add the nodes that find the classes with a pixel in a map of numbers; return their positions by falling area."""
    body = GraphBuilder("area_")
    number = body.add("Cast", body.add("Gather", classes, "area_index", axis=0), to=TensorProto.INT32)
    pixels = body.add("Cast", body.add("Equal", numbers, number), to=TensorProto.INT32)
    body.add("ReduceSum", pixels, keepdims=0, result="area")
    body.add("Identity", "area_go_on", result="area_continues")
    loop = body.to_graph(
        "area",
        {"area_index": (TensorProto.INT64, []), "area_go_on": (TensorProto.BOOL, [])},
        {"area_continues": (TensorProto.BOOL, []), "area": (TensorProto.INT32, [])},
    )
    areas = graph.add("Loop", count, "", body=loop)
    limit = graph.add("Min", graph.add("Shape", areas), graph.integers(task.at_most), _add_limit(graph))
    largest, order = graph.add_many("TopK", (areas, limit), ["largest_areas", "largest"], axis=0)
    return graph.add("Compress", order, graph.add("Greater", largest, graph.constant([0], np.int32)), axis=0)


def _add_mask(
    graph: GraphBuilder, task: ImageSegmentation, preprocess: ImagePreprocess, rows: list[str]
) -> tuple[str, str, str]:
    """Add the nodes that compare one number for each pixel with the threshold: a mask for one or for two labels."""
    plane = graph.add("Unsqueeze", rows[0], graph.integers(0))
    numbers = _add_at_picture(graph, preprocess, plane, graph.add("Shape", rows[0], start=1, end=3))
    if task.activation == "sigmoid":
        numbers = graph.add("Sigmoid", numbers)
    mask = graph.add("Squeeze", graph.add("Greater", numbers, MASK_THRESHOLD), graph.integers(0))
    if len(task.labels) > 1:
        mask = graph.add("Concat", graph.add("Not", mask), mask, axis=0)
    classes = graph.integers(*range(len(task.labels)))
    return _add_without_empty(graph, _add_bytes(graph, mask), _add_no_scores(graph, classes), classes)


# ---------------------------------------------------------------------- parts of all of them


def _add_at_picture(graph: GraphBuilder, preprocess: ImagePreprocess, plane: str, size: str) -> str:
    """Add the nodes that take a plane (1, 1, rows, columns) to the picture's size, without the padding.

    Args:
        graph: The graph.
        preprocess: The steps that made the model's input of the picture.
        plane: The plane, which covers the whole of the model's input.
        size: The size to which the plane is enlarged before the padding is cut off.
    """
    ones = graph.integers(1, 1)

    def resize(source: str, target: str) -> str:
        return graph.add("Resize", source, "", "", graph.add("Concat", ones, target, axis=0), mode="linear")

    if preprocess.fit != "stretch":
        resized = picture_geometry.add_resized(graph, preprocess, SIZE, size)
        start = picture_geometry.add_offset(graph, preprocess, resized, size)
        end = graph.add("Add", start, resized)
        plane = graph.add("Slice", resize(plane, size), start, end, graph.integers(2, 3))
    return resize(plane, SIZE)


def _add_limit(graph: GraphBuilder) -> str:
    """Add the nodes that compute how many masks of the picture's size there may be: at least one."""
    pixels = graph.add("ReduceProd", SIZE, keepdims=1)
    return graph.add("Max", graph.add("Div", graph.integers(MAX_MASK_BYTES), pixels), graph.integers(1))


def _add_bytes(graph: GraphBuilder, mask: str, result: str = "") -> str:
    white, black = graph.constant(255, np.uint8), graph.constant(0, np.uint8)
    return graph.add("Where", mask, white, black, result=result)


def _add_no_scores(graph: GraphBuilder, classes: str) -> str:
    """Add a score that is not a number for each class, since a class has no score."""
    return graph.add("Expand", graph.constant([np.nan]), graph.add("Shape", classes))


def _add_without_empty(graph: GraphBuilder, masks: str, scores: str, classes: str) -> tuple[str, str, str]:
    """Add the nodes that leave out masks without a pixel, with their scores and classes."""
    brightest = graph.add("ReduceMax", masks, graph.integers(1, 2), keepdims=0)
    is_used = graph.add("Cast", brightest, to=TensorProto.BOOL)
    masks, scores, classes = (graph.add("Compress", name, is_used, axis=0) for name in (masks, scores, classes))
    return masks, scores, classes
