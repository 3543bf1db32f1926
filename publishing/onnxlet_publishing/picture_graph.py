"""The graph from pictures to a model's input, generated from the manifest's `preprocess`.

It gives the pixels of the library that a model was trained with: Pillow, torchvision and transformers (antialiased), or
OpenCV and Ultralytics (not antialiased). A resized pixel may differ by 1 of 255, because those libraries round after
each axis, or compute with 11 bits.
"""

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, DataType
from onnxlet_publishing import picture_geometry
from onnxlet_publishing.graph_builder import GraphBuilder, Shape

CUBIC = -0.5
"""The parameter of Pillow's and torchvision's bicubic filter with antialiasing."""

Step = tuple[str, tuple[str, ...], str, dict[str, Any]]
"""An operator, its inputs after the first, the name of its result and its attributes."""


def preprocess_graph(declaration: ImagePreprocess, datatype: DataType = DATATYPES["FP32"]) -> bytes:
    """Return the graph from images of any size, UINT8 (batch, height, width, channels), to the model's input.

    Args:
        declaration: The steps.
        datatype: The datatype of the model's input: FP32, FP16, or UINT8, whose values are rounded and clipped.
    """
    channels = declaration.channels
    graph = GraphBuilder()
    size = graph.constant([declaration.height, declaration.width], np.int64, name="height_and_width")
    # (pixel * scale - mean) / std as one multiplication and one addition
    constants = {
        "factor": declaration.scale / np.array(declaration.std),
        "shift": -np.array(declaration.mean) / np.array(declaration.std),
    }
    factor, shift = (
        graph.constant(np.broadcast_to(values, channels).reshape(1, channels, 1, 1), name=name)
        for name, values in constants.items()
    )
    graph.add("Transpose", PREPROCESS_INPUT, result="planes", perm=[0, 3, 1, 2])
    last = _add_fit(graph, declaration, size)
    steps: list[Step] = [("Mul", (factor,), "scaled", {}), ("Add", (shift,), "normalized", {})]
    if declaration.layout == "NHWC":
        steps.append(("Transpose", (), "upright", {"perm": [0, 2, 3, 1]}))
    if datatype.name == "UINT8":
        limits = graph.constant(0, name="black"), graph.constant(255, name="white")
        steps += [("Round", (), "rounded", {}), ("Clip", limits, "clipped", {})]
    if datatype.name != "FP32":
        steps.append(("Cast", (), "cast", {"to": datatype.onnx}))
    for operator, others, result, attributes in steps:
        is_last = result == steps[-1][2]
        last = graph.add(operator, last, *others, result=PREPROCESS_OUTPUT if is_last else result, **attributes)
    shape: Shape = ["batch", channels, declaration.height, declaration.width]
    return graph.to_bytes(
        "preprocess",
        {PREPROCESS_INPUT: (TensorProto.UINT8, ["batch", "image_height", "image_width", channels])},
        {
            PREPROCESS_OUTPUT: (
                datatype.onnx,
                shape if declaration.layout == "NCHW" else [shape[0], *shape[2:], channels],
            )
        },
    )


def _add_fit(graph: GraphBuilder, declaration: ImagePreprocess, size: str) -> str:
    """Add the nodes from "planes", UINT8 (batch, channels, any height, any width), to FP32 pixels of the model's size.

    Args:
        graph: The graph.
        declaration: The steps.
        size: The model's height and width.
    """
    own = "" if declaration.fit == "stretch" else graph.add("Shape", "planes", start=2, end=4)
    resized = picture_geometry.add_resized(graph, declaration, own, size)
    fitted = _add_resize(graph, declaration, resized)
    if declaration.fit == "crop":
        start = graph.add("Neg", picture_geometry.add_offset(graph, declaration, resized, size))
        fitted = graph.add("Slice", fitted, start, graph.add("Add", start, size), graph.integers(2, 3))
    if declaration.colours == "BGR":
        fitted = graph.add("Gather", fitted, graph.integers(2, 1, 0), axis=1)
    if declaration.antialias:
        # The cast comes after the resize, because FP32 takes four times as much memory.
        fitted = graph.add("Cast", fitted, result="pixels", to=TensorProto.FLOAT)
    if declaration.fit in {"stretch", "crop"}:
        return fitted
    none, before = graph.integers(0, 0), picture_geometry.add_offset(graph, declaration, resized, size)
    after = graph.add("Sub", graph.add("Sub", size, resized), before)
    pads = graph.add("Concat", none, before, none, after, axis=0)
    return graph.add("Pad", fitted, pads, graph.constant(declaration.pad_value))


def _add_resize(graph: GraphBuilder, declaration: ImagePreprocess, size: str) -> str:
    """Add the nodes that resize "planes": UINT8 with antialiasing, else FP32, which ONNX Runtime would not round."""
    graph.add("Shape", "planes", result="batch_and_channels", start=0, end=2)
    whole = graph.add("Concat", "batch_and_channels", size, result="size", axis=0)
    if not declaration.antialias:
        exact = graph.add("Cast", "planes", to=TensorProto.FLOAT)
        return graph.add("Round", graph.add("Resize", exact, "", "", whole, mode="linear"))
    cubic = {"mode": "cubic", "cubic_coeff_a": CUBIC}
    mode: dict[str, Any] = cubic if declaration.resampling == "bicubic" else {"mode": "linear"}
    # At the border the filter is cut off and its weights are normalised again, as in Pillow and torchvision.
    return graph.add("Resize", "planes", "", "", whole, result="resized", antialias=1, exclude_outside=1, **mode)
