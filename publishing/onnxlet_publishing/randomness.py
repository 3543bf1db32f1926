"""Randomness: the outputs of a graph that depend on random numbers, and so differ from run to run."""

import onnx

from onnxlet_publishing.graph_walk import inlined, nodes_within

OPERATORS = frozenset(
    {
        "Bernoulli",
        "BiasDropout",
        "BitmaskBiasDropout",
        "BitmaskDropout",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Sampling",
    }
)
"""Operators of ONNX and ONNX Runtime that draw random numbers."""

TRAINING_MODE = {"Dropout": 2, "BitmaskDropout": 2, "BiasDropout": 4, "BitmaskBiasDropout": 4}
"""The position of the input that switches each of these operators on."""


def random_outputs(data: bytes) -> set[str]:
    """Return the names of the outputs that depend on random numbers."""
    graph = inlined(onnx.load_from_string(data)).graph
    false_names = _false_constants(graph)
    random: set[str] = set()
    for node in graph.node:  # nodes come in the order in which they run
        nodes = [node, *nodes_within(node)]
        if any(_is_random(inner, false_names) or not random.isdisjoint(inner.input) for inner in nodes):
            random.update(node.output)
    return {output.name for output in graph.output} & random


def _is_random(node: onnx.NodeProto, false_names: set[str]) -> bool:
    """Return whether an operator draws random numbers itself."""
    position = TRAINING_MODE.get(node.op_type)
    if position is None:
        return node.op_type in OPERATORS
    mode = node.input[position] if position < len(node.input) else ""
    return bool(mode) and mode not in false_names


def _false_constants(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the constants that are false."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return {
        name
        for name, tensor in constants.items()
        if tensor.data_type == onnx.TensorProto.BOOL and not onnx.numpy_helper.to_array(tensor).any()
    }
