"""Class labels: the names that the graph of a classifier itself gives to its classes, and the outputs that use them."""

import onnx
from onnx import numpy_helper

from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.graph_rewrites import class_names
from onnxlet_publishing.onnx_file import OnnxFile

PASSED_THROUGH = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators that do not change a label."""

CHOOSES = ("ArrayFeatureExtractor", "Gather")
"""Operators that pick one of several constants, their first input."""

LABELS = ("BYTES", "INT64", "INT32")
"""Datatypes of labels."""


def find_label_output(model: OnnxFile) -> TensorSpec | None:
    """Return the output with one label for each row; None if there is no such output."""
    return next((spec for spec in model.outputs if spec.datatype.name in LABELS and _is_column(spec)), None)


def find_labels(model: OnnxFile, graph: onnx.GraphProto) -> tuple[tuple[str, ...], str | None]:
    """Return the names of the classes in the order of the numbers, and the output with the numbers.

    The names are those of the only ZipMap, else those by which the graph makes its label; a graph may have no names.
    The output is None if it follows from the number of labels.
    """
    if len(model.class_names) == 1:
        ((output, names),) = model.class_names.items()
        return names, output
    label = find_label_output(model)
    if label is None or model.class_names:
        return (), None
    return _names_of(graph, label.name) or (model.class_orders[0] if len(model.class_orders) == 1 else ()), None


def _names_of(graph: onnx.GraphProto, output: str) -> tuple[str, ...]:
    """Follow a label back to the constants or the classifier that it comes from."""
    makers = {name: node for node in graph.node for name in node.output}
    for _ in graph.node:  # a bound: a damaged graph may be cyclic
        node = makers.get(output)
        if node is None:
            return ()
        if node.op_type in CHOOSES:
            return _constants(graph, makers, node.input[0])
        names = class_names(node) or _encoded(node)
        if names or node.op_type not in PASSED_THROUGH:
            return names
        output = node.input[0]
    return ()


def _encoded(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the labels of an encoder of the numbers from 0, in their order."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type != "LabelEncoder" or not {"keys_int64s", "values_strings"} <= attributes.keys():
        return ()
    by_number = dict(zip(attributes["keys_int64s"].ints, attributes["values_strings"].strings, strict=False))
    if sorted(by_number) != list(range(len(by_number))):
        return ()
    return tuple(by_number[number].decode("utf-8", "replace") for number in range(len(by_number)))


def _constants(graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], name: str) -> tuple[str, ...]:
    """Return the elements of a constant list of labels; an empty tuple for anything else."""
    tensor = next((tensor for tensor in graph.initializer if tensor.name == name), None)
    node = makers.get(name)
    if tensor is None and node is not None and node.op_type == "Constant":
        tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
    if tensor is None:
        return ()
    values = numpy_helper.to_array(tensor).reshape(-1).tolist()
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values)


def _is_column(spec: TensorSpec) -> bool:
    return spec.shape is not None and (len(spec.shape) == 1 or spec.shape[1:] == (1,))
