"""Graph rewrites: changes to a user's graph without which the functions could not run or serve it."""

from collections.abc import Sequence
from itertools import count

import onnx
from onnx import AttributeProto, TensorProto, helper

from onnxlet.contract.tensors import ANY, TensorSpec
from onnxlet_publishing.graph_walk import all_nodes

LOCALE = "C.UTF-8"
"""The only locale of the functions' images that supports letters beyond ASCII."""
LOCALES = ("C", "POSIX", "C.UTF-8", "C.utf8")
"""The locales of Lambda's image."""

ONNX_OPSET = 13
"""Opset that is added to a graph which so far used only operators of other domains."""


def name_known_locales(model: onnx.ModelProto) -> list[str]:
    """Replace each locale that the functions do not have with one that they have.

    An operator without a locale would use en_US.UTF-8, which is replaced too (onnxruntime, `string_normalizer.cc`).

    Returns:
        The names of the replaced locales, without repetition.
    """
    replaced: dict[str, None] = {}
    for node in all_nodes(model):
        attribute = next((attribute for attribute in node.attribute if attribute.name == "locale"), None)
        if attribute is None and node.op_type == "StringNormalizer":
            attribute = node.attribute.add(name="locale", type=AttributeProto.STRING)
        if attribute is None or attribute.type != AttributeProto.STRING:
            continue
        name = attribute.s.decode("utf-8", "replace") or attribute.ref_attr_name or "en_US"
        if name not in LOCALES:
            attribute.ClearField("ref_attr_name")
            attribute.s = LOCALE.encode()
            replaced[name] = None
    return list(replaced)


def remove_zipmaps(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Turn outputs that a ZipMap makes dictionaries back into tensors, FP32 (batch, classes).

    Returns:
        The names of the classes, by the name of the output.
    """
    graph = model.graph
    read_by_others = {name for node in graph.node if node.op_type != "Identity" for name in node.input}
    classes: dict[str, tuple[str, ...]] = {}
    for node in graph.node:  # nodes come after those whose results they read
        if node.op_type == "ZipMap" and node.output[0] not in read_by_others:
            classes[node.output[0]] = class_names(node)
            node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name))
            _need_onnx_opset(model)
        elif node.op_type == "Identity" and node.input[0] in classes:
            classes[node.output[0]] = classes[node.input[0]]
    for value in [value for value in graph.value_info if value.name in classes]:
        graph.value_info.remove(value)
    output_classes = {value.name: classes[value.name] for value in graph.output if value.name in classes}
    for value in graph.output:
        if value.name in output_classes:
            value.type.CopyFrom(
                helper.make_tensor_type_proto(TensorProto.FLOAT, [None, len(output_classes[value.name])])
            )
    return output_classes


def class_names(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the classes that an operator of `ai.onnx.ml` names, in the order of its numbers; perhaps none."""
    named = {attribute.name: attribute for attribute in node.attribute}
    for key in ("classlabels_strings", "classlabels_ints", "classlabels_int64s"):
        if key in named:
            texts = [name.decode("utf-8", "replace") for name in named[key].strings]
            return (*texts, *map(str, named[key].ints))
    return ()


def with_joined_columns(data: bytes, columns: Sequence[TensorSpec]) -> tuple[bytes, TensorSpec]:
    """Join outputs that each hold the numbers of one class.

    Returns:
        The model with an added output, (batch, classes), and the declaration of that output.
    """
    model = onnx.load_from_string(data)
    taken = {name for node in all_nodes(model) for name in (*node.input, *node.output)}
    name = next(name for number in count() if (name := f"joined_{number or 'columns'}") not in taken)
    shape, parts = f"{name}/shape", [f"{name}/{place}" for place in range(len(columns))]
    model.graph.node.append(helper.make_node("Constant", [], [shape], value=_column_shape()))
    for column, part in zip(columns, parts, strict=True):
        model.graph.node.append(helper.make_node("Reshape", [column.name, shape], [part]))
    model.graph.node.append(helper.make_node("Concat", parts, [name], axis=1))
    joined = TensorSpec(name, columns[0].datatype, (ANY, len(columns)))
    model.graph.output.append(helper.make_tensor_value_info(name, joined.datatype.onnx, [None, len(columns)]))
    _need_onnx_opset(model)
    return model.SerializeToString(), joined


def _column_shape() -> TensorProto:
    return helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])


def _need_onnx_opset(model: onnx.ModelProto) -> None:
    if not any(opset.domain in {"", "ai.onnx"} for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", ONNX_OPSET))
