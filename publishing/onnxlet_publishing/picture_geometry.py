"""The position of a picture in a model's input: nodes that the graphs before and after a model share.

All sizes and positions are INT64 (2,), the height or the row first.
"""

import numpy as np
from onnx import TensorProto

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_publishing.graph_builder import GraphBuilder


def add_resized(graph: GraphBuilder, declaration: ImagePreprocess, own: str, size: str) -> str:
    """Add the nodes that compute `ImagePreprocess.resized`; return the size before padding or cropping.

    Args:
        graph: The graph.
        declaration: How the picture is fitted.
        own: The picture's own size.
        size: The model's size; or for `letterbox` and `pad`, the size of a smaller or larger copy of its input.
    """
    if declaration.fit == "stretch":
        return size
    if declaration.shorter_side is not None:
        shorter = graph.add("ReduceMin", own, keepdims=1)
        return graph.add("Div", graph.add("Mul", own, graph.integers(declaration.shorter_side)), shorter)
    exact, exact_size = (graph.add("Cast", name, to=TensorProto.DOUBLE) for name in (own, size))
    ratio = graph.add("ReduceMin", graph.add("Div", exact_size, exact), keepdims=1)
    rounded = graph.add("Round", graph.add("Mul", exact, ratio))
    return graph.add("Cast", graph.add("Max", rounded, graph.constant([1], np.float64)), to=TensorProto.INT64)


def add_offset(graph: GraphBuilder, declaration: ImagePreprocess, resized: str, size: str) -> str:
    """Return the position of a resized picture in the model's input; it is negative where `crop` cuts something off."""
    if declaration.fit == "letterbox":
        return graph.add("Div", graph.add("Sub", size, resized), graph.integers(2))
    if declaration.fit != "crop":
        return graph.integers(0, 0)
    rest = graph.add("Sub", resized, size)
    if declaration.margins == "floor":
        return graph.add("Neg", graph.add("Div", rest, graph.integers(2)))
    half = graph.add("Mul", graph.add("Cast", rest, to=TensorProto.FLOAT), graph.constant([0.5]))
    return graph.add("Neg", graph.add("Cast", graph.add("Round", half), to=TensorProto.INT64))
