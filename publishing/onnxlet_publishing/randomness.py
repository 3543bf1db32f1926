"""Random numbers: which outputs of a graph depend on numbers that it draws, and so differ from run to run."""

from collections.abc import Iterable

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
"""Those of ONNX and ONNX Runtime that draw numbers."""

TRAINING_MODE = {"Dropout": 2, "BitmaskDropout": 2, "BiasDropout": 4, "BitmaskBiasDropout": 4}
"""The position of the input without which one of these draws none."""


def random_outputs(data: bytes) -> set[str]:
    """Return the names of the outputs that depend on random numbers."""
    graph = inlined(onnx.load_from_string(data)).graph
    off = _names_of_false(graph)
    drawn: set[str] = set()
    for node in graph.node:  # in the order in which they run
        within = [node, *nodes_within(node)]
        if any(_draws(each, off) or not drawn.isdisjoint(each.input) for each in within):
            drawn.update(node.output)
    return {output.name for output in graph.output} & drawn


def _draws(node: onnx.NodeProto, off: set[str]) -> bool:
    position = TRAINING_MODE.get(node.op_type)
    if position is None:
        return node.op_type in OPERATORS
    mode = node.input[position] if position < len(node.input) else ""
    return bool(mode) and mode not in off


def _names_of_false(graph: onnx.GraphProto) -> set[str]:
    """The constants that switch something off."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return set(_false(constants.items()))


def _false(constants: Iterable[tuple[str, onnx.TensorProto]]) -> Iterable[str]:
    for name, tensor in constants:
        if tensor.data_type == onnx.TensorProto.BOOL and not onnx.numpy_helper.to_array(tensor).any():
            yield name
