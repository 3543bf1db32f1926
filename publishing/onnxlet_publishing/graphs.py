"""Graphs: the small ONNX graphs before and after a model, generated from the manifest's declarations.

Training evaluates with the same graphs that the functions run, so that the served model is the measured one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from onnxlet.contract.declarations import (
    PIXELS_INPUT,
    PIXELS_OUTPUT,
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    Classification,
)
from onnxlet.contract.generation import ImageGeneration
from onnxlet.contract.tensors import BY_NUMPY, Tensor, TensorSpec
from onnxlet.session import open_session
from onnxlet_publishing.graph_builder import GraphBuilder, Shape

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
    is_single = classes == 2 and scores is not None and is_single_score(scores)
    shape: Shape = ["batch", 1 if is_single else classes]
    if scores is not None and scores.shape is not None:
        shape = shape[: len(scores.shape)]
    element = TensorProto.FLOAT if scores is None else scores.datatype.onnx
    graph = GraphBuilder()
    ranked = _add_activation(graph, classification.activation, output, element)
    if is_single:
        one, column = graph.constant([1], name="one"), graph.constant([-1, 1], np.int64, name="column")
        graph.add("Reshape", ranked, column, result="second")
        graph.add("Sub", one, "second", result="first")
        ranked = graph.add("Concat", "first", "second", result="both", axis=-1)
    graph.add_many("TopK", (ranked, k), [probabilities, indices], axis=-1)
    return graph.to_bytes(
        "postprocess",
        {output: (element, shape), k: (TensorProto.INT64, [1])},
        {indices: (TensorProto.INT64, ["batch", "k"]), probabilities: (TensorProto.FLOAT, ["batch", "k"])},
    )


def is_single_score(scores: TensorSpec) -> bool:
    """Return whether an output has one number for each row."""
    return scores.shape is not None and (len(scores.shape) == 1 or scores.shape[1:] == (1,))


def _add_activation(graph: GraphBuilder, activation: str, output: str, element: int) -> str:
    """Add the nodes from an output to FP32 probabilities; FP64 is rounded after the activation."""
    operator = {"softmax": "Softmax", "sigmoid": "Sigmoid"}.get(activation, "Identity")
    axis: dict[str, Any] = {"axis": -1} if operator == "Softmax" else {}
    if element == TensorProto.DOUBLE:
        graph.add(operator, output, result="precise", **axis)
        return graph.add("Cast", "precise", result="activated", to=TensorProto.FLOAT)
    graph.add("Cast", output, result="scores", to=TensorProto.FLOAT)
    return graph.add(operator, "scores", result="activated", **axis)


def pixels_graph(declaration: ImageGeneration) -> bytes:
    """Return the graph from a generator's output, FP32 of rank 4, to images, UINT8 (batch, height, width, channels)."""
    is_planar = declaration.layout == "NCHW"
    graph = GraphBuilder()
    constants = {"scale": declaration.scale, "shift": declaration.shift, "black": 0, "white": 255}
    scale, shift, black, white = [graph.constant([value], name=name) for name, value in constants.items()]
    graph.add("Mul", PIXELS_INPUT, scale, result="scaled")
    graph.add("Add", "scaled", shift, result="shifted")
    graph.add("Round", "shifted", result="rounded")
    graph.add("Clip", "rounded", black, white, result="clipped")
    graph.add("Cast", "clipped", result="pixels", to=TensorProto.UINT8)
    graph.add("Transpose", "pixels", result=PIXELS_OUTPUT, perm=[0, 2, 3, 1] if is_planar else [0, 1, 2, 3])
    sizes: Shape = ["batch", "channels", "height", "width"] if is_planar else ["batch", "height", "width", "channels"]
    return graph.to_bytes(
        "postprocess",
        {PIXELS_INPUT: (TensorProto.FLOAT, sizes)},
        {PIXELS_OUTPUT: (TensorProto.UINT8, ["batch", "height", "width", "channels"])},
    )


def to_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return an array as the functions' kind of tensor."""
    return Tensor(BY_NUMPY[array.dtype.name], array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
