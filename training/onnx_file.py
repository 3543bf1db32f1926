"""An ONNX file, ours or brought from elsewhere: its bytes in one piece, and what it declares of its tensors."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx.external_data_helper import uses_external_data

from onnxlet.contract.tensors import ANY, BY_ONNX, Dimension, TensorSpec
from onnxlet.errors import ArtifactError


@dataclass(frozen=True)
class OnnxFile:
    """A self-contained ONNX model."""

    data: bytes
    """With all external data inlined."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    left_out: tuple[str, ...]
    """Outputs that are no tensors (scikit-learn's maps of probabilities), which cannot be served."""
    ends_in_softmax: bool
    """Whether the first output comes straight out of a softmax: probabilities already."""


def read_onnx(path: Path) -> OnnxFile:
    """Read a model.

    Raises:
        ArtifactError: not an ONNX file, a damaged one, external data that are missing, or tensors of a kind that the
            V2 protocol does not carry.
    """
    data, model = _load(path)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(path, value, "input") for value in graph.input if value.name not in constants)
    tensors = [value for value in graph.output if value.type.WhichOneof("value") == "tensor_type"]
    if not inputs or not tensors:
        raise ArtifactError(f"{path}: expected a model with at least one input and one output that is a tensor")
    return OnnxFile(
        data=data,
        inputs=inputs,
        outputs=tuple(_spec(path, value, "output") for value in tensors),
        left_out=tuple(value.name for value in graph.output if value not in tensors),
        ends_in_softmax=any(node.op_type == "Softmax" and tensors[0].name in node.output for node in graph.node),
    )


def _load(path: Path) -> tuple[bytes, onnx.ModelProto]:
    try:
        data = path.read_bytes()
        model = onnx.load_from_string(data)
        if not model.graph.node and not model.graph.output:
            raise ArtifactError(f"{path}: not an ONNX file ({len(data)} bytes that hold no graph)")
        if any(map(uses_external_data, model.graph.initializer)):
            model = onnx.load(path)
            data = model.SerializeToString()
    except DecodeError as error:
        raise ArtifactError(f"{path}: not an ONNX file, or a truncated one ({_one_line(error)})") from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise ArtifactError(f"{path}: cannot be read: {_one_line(error)}") from error
    except (EncodeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: too large for one file of 2 GiB with its external data: {_one_line(error)}"
        ) from error
    return data, model


def _spec(path: Path, value: onnx.ValueInfoProto, kind: str) -> TensorSpec:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ArtifactError(f'{path}: {kind} "{value.name}": expected a tensor, got {value.type.WhichOneof("value")}')
    tensor = value.type.tensor_type
    datatype = BY_ONNX.get(tensor.elem_type)
    if datatype is None:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ArtifactError(f'{path}: {kind} "{value.name}": {name} is no datatype of the V2 protocol')
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else None
    return TensorSpec(value.name, datatype, shape)


def _dimension(dimension: onnx.TensorShapeProto.Dimension) -> Dimension:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value) if dimension.dim_value >= 0 else ANY
    return dimension.dim_param or ANY


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
