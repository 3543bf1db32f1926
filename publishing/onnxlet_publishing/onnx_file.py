"""An ONNX file, ours or brought from elsewhere: its bytes in one piece, and what it declares of its tensors."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from onnxlet.contract.manifest import MAX_DIMENSION_NAME
from onnxlet.contract.tensors import ANY, BY_ONNX, Dimension, TensorSpec
from onnxlet_publishing import external_data, graph_rewrites
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_walk import all_nodes

PASSED_THROUGH = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "QuantizeLinear", "DequantizeLinear")
"""Operators that leave probabilities what they are."""

CATEGORIES = ("cats_strings", "cats_int64s", "keys_strings", "keys_int64s")
"""Attributes that list the values which a graph of `ai.onnx.ml` was made for."""
MAX_CATEGORIES = 256

KEPT_CHARACTERS = 40
"""The beginning of a dimension's name that is kept where the whole name is too long for a manifest."""


@dataclass(frozen=True)
class OnnxFile:
    """A self-contained ONNX model."""

    data: bytes
    """The model, with all external data inlined, as the functions can run it."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    left_out: tuple[str, ...]
    """Outputs that are not tensors (sequences, maps), which cannot be served."""
    made_by: Mapping[str, str] = field(default_factory=dict)
    """The operator that makes each output, by the output's name, whatever only passes its numbers on."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the classes, by the name of the output, as a ZipMap that was taken out had them."""
    class_orders: tuple[tuple[str, ...], ...] = ()
    """The names of the classes in the order of the numbers, as each classifier in the graph has them."""
    categories: tuple[str | int, ...] = ()
    """Some values which the graph was made for, where it lists them."""
    notes: tuple[str, ...] = ()
    """What was changed in the graph, for people."""


def read_onnx(path: Path) -> OnnxFile:
    """Read a model, and change in it what the functions could not run or serve.

    Raises:
        ModelError: not an ONNX file, a damaged one, external data that are missing, or tensors of a kind that the
            V2 protocol does not carry.
    """
    data, model = _load(path)
    is_changed = external_data.inline(model, path)
    locales = graph_rewrites.name_known_locales(model)
    class_orders = dict.fromkeys(names for node in all_nodes(model) if (names := graph_rewrites.class_names(node)))
    class_names = graph_rewrites.take_out_zipmaps(model)
    if is_changed or locales or class_names:
        data = _serialize(path, model)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(path, value, "input") for value in graph.input if value.name not in constants)
    tensors = [value for value in graph.output if value.type.WhichOneof("value") == "tensor_type"]
    left_out = tuple(value.name for value in graph.output if value not in tensors)
    if not inputs or not tensors:
        raise ModelError(
            f"{path}: expected a model with at least one input and one output that is a tensor"
            + (f", got {', '.join(map(repr, left_out))}: export it with its values as tensors" if left_out else "")
        )
    return OnnxFile(
        data=data,
        inputs=inputs,
        outputs=tuple(_spec(path, value, "output") for value in tensors),
        left_out=left_out,
        made_by=_made_by(graph),
        class_names=class_names,
        class_orders=tuple(class_orders),
        categories=tuple(_categories(model)),
        notes=tuple(_notes(locales, class_names)),
    )


def _notes(locales: list[str], class_names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if locales:
        yield (
            f"locale {', '.join(locales)}: the functions' machines do not have it; the graph now names "
            f"{graph_rewrites.LOCALE}, in which upper and lower case are those of Unicode"
        )
    for output, names in class_names.items():
        yield f'output "{output}": its ZipMap was taken out, it is FP32 (batch, {len(names)}) now'


def _load(path: Path) -> tuple[bytes, onnx.ModelProto]:
    try:
        data = path.read_bytes()
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX file, or a truncated one ({_one_line(error)})") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {_one_line(error)}") from error
    if not model.graph.node and not model.graph.output:
        raise ModelError(f"{path}: not an ONNX file ({len(data)} bytes that hold no graph)")
    return data, model


def _serialize(path: Path, model: onnx.ModelProto) -> bytes:
    try:
        data: bytes = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise ModelError(
            f"{path}: too large for one file of 2 GiB with its external data: {_one_line(error)}"
        ) from error
    return data


def _made_by(graph: onnx.GraphProto) -> dict[str, str]:
    makers = {name: node for node in graph.node for name in node.output}
    found = {}
    for value in graph.output:
        node = makers.get(value.name)
        for _ in graph.node:  # at most: a damaged graph may go round in circles
            if node is None or node.op_type not in PASSED_THROUGH:
                break
            node = makers.get(node.input[0])
        if node is not None:
            found[value.name] = node.op_type
    return found


def _categories(model: onnx.ModelProto) -> list[str | int]:
    found: dict[str | int, None] = {}
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.name in CATEGORIES and len(found) < MAX_CATEGORIES:
                found |= dict.fromkeys(value.decode("utf-8", "replace") for value in attribute.strings)
                found |= dict.fromkeys(attribute.ints)
    return list(found)[:MAX_CATEGORIES]


def _spec(path: Path, value: onnx.ValueInfoProto, kind: str) -> TensorSpec:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ModelError(f'{path}: {kind} "{value.name}": expected a tensor, got {value.type.WhichOneof("value")}')
    tensor = value.type.tensor_type
    datatype = BY_ONNX.get(tensor.elem_type)
    if datatype is None:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ModelError(f'{path}: {kind} "{value.name}": {name} is no datatype of the V2 protocol')
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else None
    return TensorSpec(value.name, datatype, shape)


def _dimension(dimension: onnx.TensorShapeProto.Dimension) -> Dimension:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value) if dimension.dim_value >= 0 else ANY
    return shortened(dimension.dim_param) or ANY


def shortened(name: str) -> str:
    """Return a dimension's name as a manifest can hold it: distinct names stay distinct."""
    if len(name) <= MAX_DIMENSION_NAME:
        return name
    return f"{name[:KEPT_CHARACTERS]}...{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
