"""Walks over an ONNX model: every graph, node and tensor, in subgraphs and functions too."""

from collections.abc import Iterable, Iterator

import onnx
from onnx.inliner import inline_local_functions


def all_graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the model's graph, and each graph in an attribute of a node."""
    yield model.graph
    for node in all_nodes(model):
        yield from _graphs_of(node.attribute)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield each node of the graph and of the functions, and of the graphs in their attributes."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield each tensor: initializers, and tensors in the attributes of nodes and functions."""
    for graph in all_graphs(model):
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)
    for node in all_nodes(model):
        yield from _tensors_of(node.attribute)
    for function in model.functions:
        yield from _tensors_of(function.attribute_proto)


def nodes_within(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield each node of the graphs in a node's attributes."""
    for graph in _graphs_of(node.attribute):
        yield from _nodes(graph.node)


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its own functions inlined, so that each node is an operator."""
    return inline_local_functions(model) if model.functions else model


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in _graphs_of(node.attribute):
            yield from _nodes(graph.node)


def _graphs_of(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.GraphProto]:
    for attribute in attributes:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors_of(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        yield from _dense([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
        yield from _dense(attribute.sparse_tensors)


def _dense(tensors: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices
