"""Graphs: the small ONNX graphs before and after a model, generated from the manifest's declarations.

Training evaluates with the same graphs that the functions run, so that the served model is the measured one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.declarations import (
    PIXELS_INPUT,
    PIXELS_OUTPUT,
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    PREPROCESS_INPUT,
    PREPROCESS_OUTPUT,
    Classification,
    ImagePreprocess,
)
from onnxlet.contract.generation import ImageGeneration
from onnxlet.contract.tensors import BY_NUMPY, Tensor, TensorSpec
from onnxlet.session import open_session

OPSET = 18
"""The first opset in which `Resize` can smooth when it shrinks an image (`antialias`)."""
IR_VERSION = 10

BATCH_SIZE = 256
"""Number of rows that `Graph.run` passes to ONNX Runtime at a time."""


class Graph:
    """A graph that the functions' own session runs on numpy arrays of any number of rows."""

    def __init__(self, data: bytes) -> None:
        """Load the graph.

        Raises:
            ArtifactError: ONNX Runtime does not load the graph.
        """
        self._session = open_session(data)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], output: str) -> npt.NDArray[np.float32]:
        """Run the graph on all rows, batch by batch.

        Args:
            inputs: Arrays with the same number of rows.
            output: The name of the requested output, which must be FP32.
        """
        count = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, count, BATCH_SIZE):
            batch = {name: to_tensor(array[start : start + BATCH_SIZE]) for name, array in inputs.items()}
            (result,) = self._session.run(batch, [output])
            parts.append(np.frombuffer(result.buffer, np.float32).reshape(result.shape))
        return np.concatenate(parts)


def preprocess_graph(declaration: ImagePreprocess) -> bytes:
    """Return the graph from images of any size, UINT8 (batch, height, width, channels), to the model's input."""
    channels = declaration.channels
    # (pixel * scale - mean) / std as one multiplication and one addition
    factor = declaration.scale / np.array(declaration.std)
    shift = -np.array(declaration.mean) / np.array(declaration.std)
    last = PREPROCESS_OUTPUT if declaration.layout == "NCHW" else "normalized"
    nodes = [
        helper.make_node("Transpose", [PREPROCESS_INPUT], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Shape", ["planes"], ["batch_and_channels"], start=0, end=2),
        helper.make_node("Concat", ["batch_and_channels", "height_and_width"], ["size"], axis=0),
        # At the border the filter is cut off and its weights are normalised again, as in Pillow and torchvision.
        helper.make_node(
            "Resize", ["planes", "", "", "size"], ["resized"], mode="linear", antialias=1, exclude_outside=1
        ),
        # The cast comes after the resize, because FP32 takes four times as much memory.
        helper.make_node("Cast", ["resized"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], [last]),
    ]
    shape: list[int | str] = ["batch", channels, declaration.height, declaration.width]
    if declaration.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], [PREPROCESS_OUTPUT], perm=[0, 2, 3, 1]))
        shape = ["batch", declaration.height, declaration.width, channels]
    constants: dict[str, npt.NDArray[Any]] = {
        "height_and_width": np.array([declaration.height, declaration.width], np.int64),
        "factor": np.broadcast_to(factor, channels).astype(np.float32).reshape(1, channels, 1, 1),
        "shift": np.broadcast_to(shift, channels).astype(np.float32).reshape(1, channels, 1, 1),
    }
    images = helper.make_tensor_value_info(
        PREPROCESS_INPUT, TensorProto.UINT8, ["batch", "image_height", "image_width", channels]
    )
    tensor = helper.make_tensor_value_info(PREPROCESS_OUTPUT, TensorProto.FLOAT, shape)
    return _serialize("preprocess", nodes, [images], [tensor], constants)


def postprocess_graph(classification: Classification, scores: TensorSpec | None = None) -> bytes:
    """Return the graph from a model's output to the indices and probabilities of the best k classes.

    Args:
        classification: The labels and the activation.
        scores: The output, FP32, FP64 or FP16: (batch, classes), or only the second of two classes, (batch, 1) or
            (batch,). By default FP32 (batch, classes).
    """
    output, k = POSTPROCESS_INPUTS
    indices, probabilities = POSTPROCESS_OUTPUTS
    classes = len(classification.labels)
    is_single = scores is not None and is_single_score(scores)
    shape: list[int | str] = ["batch", 1 if is_single else classes]
    if scores is not None and scores.shape is not None:
        shape = shape[: len(scores.shape)]
    element = TensorProto.FLOAT if scores is None else scores.datatype.onnx
    nodes = _activated(classification.activation, output, element)
    constants: dict[str, npt.NDArray[Any]] = {}
    if is_single:
        constants = {"one": np.ones(1, np.float32), "column": np.array([-1, 1], np.int64)}
        nodes += [
            helper.make_node("Reshape", ["activated", "column"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["both"], axis=-1),
        ]
    ranked = "both" if is_single else "activated"
    nodes.append(helper.make_node("TopK", [ranked, k], [probabilities, indices], axis=-1))
    return _serialize(
        "postprocess",
        nodes,
        [
            helper.make_tensor_value_info(output, element, shape),
            helper.make_tensor_value_info(k, TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info(indices, TensorProto.INT64, ["batch", "k"]),
            helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ["batch", "k"]),
        ],
        constants,
    )


def is_single_score(scores: TensorSpec) -> bool:
    """Return whether an output has one number for each row."""
    return scores.shape is not None and (len(scores.shape) == 1 or scores.shape[1:] == (1,))


def _activated(activation: str, output: str, element: int) -> list[onnx.NodeProto]:
    """Return the nodes from an output to FP32 probabilities, "activated"; FP64 is rounded after the activation."""
    operator = {"softmax": "Softmax", "sigmoid": "Sigmoid"}.get(activation, "Identity")
    axis: dict[str, Any] = {"axis": -1} if operator == "Softmax" else {}
    if element == TensorProto.DOUBLE:
        return [
            helper.make_node(operator, [output], ["precise"], **axis),
            helper.make_node("Cast", ["precise"], ["activated"], to=TensorProto.FLOAT),
        ]
    return [
        helper.make_node("Cast", [output], ["scores"], to=TensorProto.FLOAT),
        helper.make_node(operator, ["scores"], ["activated"], **axis),
    ]


def pixels_graph(declaration: ImageGeneration) -> bytes:
    """Return the graph from a generator's output, FP32 of rank 4, to images, UINT8 (batch, height, width, channels)."""
    is_planar = declaration.layout == "NCHW"
    nodes = [
        helper.make_node("Mul", [PIXELS_INPUT, "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Round", ["shifted"], ["rounded"]),
        helper.make_node("Clip", ["rounded", "black", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["pixels"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["pixels"], [PIXELS_OUTPUT], perm=[0, 2, 3, 1] if is_planar else [0, 1, 2, 3]),
    ]
    sizes = ["batch", "channels", "height", "width"] if is_planar else ["batch", "height", "width", "channels"]
    constants = {"scale": declaration.scale, "shift": declaration.shift, "black": 0, "white": 255}
    return _serialize(
        "postprocess",
        nodes,
        [helper.make_tensor_value_info(PIXELS_INPUT, TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(PIXELS_OUTPUT, TensorProto.UINT8, ["batch", "height", "width", "channels"])],
        {name: np.array(value, np.float32) for name, value in constants.items()},
    )


def _serialize(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: Mapping[str, npt.NDArray[Any]],
) -> bytes:
    initializers = [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def to_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return an array as the functions' kind of tensor."""
    return Tensor(BY_NUMPY[array.dtype.name], array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
