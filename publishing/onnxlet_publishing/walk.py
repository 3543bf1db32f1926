"""Walk: every graph, node and tensor of an ONNX model, however deep in subgraphs and functions."""

from collections.abc import Iterable, Iterator

import onnx


def all_graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the model's graph, and each one inside a node, of its functions' nodes too."""
    yield model.graph
    for node in all_nodes(model):
        yield from _graphs_of(node.attribute)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node: the graph's, its functions', and those of the graphs inside them."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor: initializers, and those in the attributes of nodes and functions."""
    for graph in all_graphs(model):
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)
    for node in all_nodes(model):
        yield from _tensors_of(node.attribute)
    for function in model.functions:
        yield from _tensors_of(function.attribute_proto)


def nodes_within(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of the graphs that a node holds."""
    for graph in _graphs_of(node.attribute):
        yield from _nodes(graph.node)


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
