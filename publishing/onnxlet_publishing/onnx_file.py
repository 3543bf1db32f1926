"""An ONNX file, from training or from the user: its bytes in one piece, and the declarations of its tensors."""

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
"""Operators that do not change probabilities."""

CATEGORIES = ("cats_strings", "cats_int64s", "keys_strings", "keys_int64s")
"""Attributes that list the values for which a graph of `ai.onnx.ml` was made."""
MAX_CATEGORIES = 256

KEPT_CHARACTERS = 40
"""Length of the part that is kept of a dimension's name if the whole name is too long for a manifest."""


@dataclass(frozen=True)
class OnnxFile:
    """A self-contained ONNX model."""

    data: bytes
    """The model in the form that the functions can run, with all external data inlined."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    left_out: tuple[str, ...]
    """Outputs that cannot be served because they are not tensors, but sequences or maps."""
    made_by: Mapping[str, str] = field(default_factory=dict)
    """The operator that makes each output, by the output's name, except for those in `PASSED_THROUGH`."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the classes by the name of the output, from the ZipMaps that were removed."""
    class_orders: tuple[tuple[str, ...], ...] = ()
    """The names of the classes in the order of the numbers, of each classifier in the graph."""
    categories: tuple[str | int, ...] = ()
    """Values for which the graph was made, if it lists them."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The texts that its exporter added to the file, by name."""
    producer: str = ""
    """The name of the converter that made the file."""
    domains: tuple[str, ...] = ()
    """The domains of the graph's operators."""
    notes: tuple[str, ...] = ()
    """Descriptions of the changes that were made to the graph."""


def read_onnx(path: Path) -> OnnxFile:
    """Read a model, and change what the functions could not run or serve.

    Raises:
        ModelError: The file is not an ONNX file or is damaged, external data are missing, or the V2 protocol does not
            have the datatype of a tensor.
    """
    data, model = _load(path)
    return _described(path, model, None if external_data.inline(model, path) else data)


def from_model(source: str, model: onnx.ModelProto) -> OnnxFile:
    """Return a model that was made of a file; `source` names it in errors. Raises as `read_onnx`."""
    return _described(Path(source), model, None)


def _described(path: Path, model: onnx.ModelProto, data: bytes | None) -> OnnxFile:
    """Change what the functions could not run or serve; without data, the model is no longer that of its file."""
    locales = graph_rewrites.name_known_locales(model)
    class_orders = dict.fromkeys(names for node in all_nodes(model) if (names := graph_rewrites.class_names(node)))
    class_names = graph_rewrites.remove_zipmaps(model)
    if data is None or locales or class_names:
        data = _serialize(path, model)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(path, value, "input") for value in graph.input if value.name not in constants)
    tensors = [value for value in graph.output if value.type.WhichOneof("value") == "tensor_type"]
    left_out = tuple(value.name for value in graph.output if value not in tensors)
    if not inputs or not tensors:
        raise ModelError(
            f"{path}: expected a model with at least one input, and one output that is a tensor"
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
        metadata={entry.key: entry.value for entry in model.metadata_props},
        producer=model.producer_name,
        domains=tuple(dict.fromkeys(opset.domain for opset in model.opset_import)),
        notes=tuple(_notes(locales, class_names)),
    )


def _notes(locales: list[str], class_names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if locales:
        yield (
            f"locale {', '.join(locales)}: the functions' machines do not have it; the graph now names "
            f"{graph_rewrites.LOCALE}, in which upper and lower case are those of Unicode"
        )
    for output, names in class_names.items():
        yield f'output "{output}": its ZipMap was removed; it is now FP32 (batch, {len(names)})'


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
    operators = {}
    for value in graph.output:
        node = makers.get(value.name)
        for _ in graph.node:  # a bound: a damaged graph may be cyclic
            if node is None or node.op_type not in PASSED_THROUGH:
                break
            node = makers.get(node.input[0])
        if node is not None:
            operators[value.name] = node.op_type
    return operators


def _categories(model: onnx.ModelProto) -> list[str | int]:
    values: dict[str | int, None] = {}
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.name in CATEGORIES and len(values) < MAX_CATEGORIES:
                values |= dict.fromkeys(value.decode("utf-8", "replace") for value in attribute.strings)
                values |= dict.fromkeys(attribute.ints)
    return list(values)[:MAX_CATEGORIES]


def _spec(path: Path, value: onnx.ValueInfoProto, kind: str) -> TensorSpec:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ModelError(f'{path}: {kind} "{value.name}": expected a tensor, got {value.type.WhichOneof("value")}')
    tensor = value.type.tensor_type
    datatype = BY_ONNX.get(tensor.elem_type)
    if datatype is None:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ModelError(f'{path}: {kind} "{value.name}": expected a datatype of the V2 protocol, got {name}')
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else None
    return TensorSpec(value.name, datatype, shape)


def _dimension(dimension: onnx.TensorShapeProto.Dimension) -> Dimension:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value) if dimension.dim_value >= 0 else ANY
    return shortened(dimension.dim_param) or ANY


def shortened(name: str) -> str:
    """Return a dimension's name, shortened if a manifest cannot hold it; distinct names stay distinct."""
    if len(name) <= MAX_DIMENSION_NAME:
        return name
    return f"{name[:KEPT_CHARACTERS]}...{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
