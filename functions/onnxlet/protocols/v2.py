"""The Open Inference Protocol V2: requests to tensors, and tensors to responses.

Source: https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from onnxlet import __version__
from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.manifest import MAX_TENSORS, Manifest
from onnxlet.contract.tensors import DATATYPES, DataType, Tensor, TensorSpec
from onnxlet.errors import InvalidJsonError, InvalidRequestError, InvalidTensorError, json_shown, json_word
from onnxlet.limits import MAX_ELEMENTS, MAX_NAME_CHARACTERS, MAX_SIZES, deadline
from onnxlet.media.json_body import parse_json
from onnxlet.protocols.parameters import parse_parameters
from onnxlet.record import Record

HEADER_LENGTH = "inference-header-content-length"
"""The HTTP header with the number of bytes of JSON in a body; the bytes of binary tensors follow them.

Source: Triton, `extension_binary_data.md`.
"""

PLATFORM = "onnx_onnxv1"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics", "generate", "explain"]
"""Triton's names for its extensions, of which `model_repository` has only its index; and `explain`, onnxlet's own."""

SERVER_METADATA = {"name": "onnxlet", "version": __version__, "extensions": EXTENSIONS}

EDGE = "edge"
"""The name of onnxlet's own extension by which browsers may fetch the models."""

UNSUPPORTED_PARAMETERS = ("classification", "shared_memory_region")
"""Parameters of other extensions of Triton. Ignoring them would give an answer to another question."""


class Output(Record):
    """A requested output."""

    name: str
    is_binary: bool


class InferRequest(Record):
    """A request to run a model."""

    id: str | None
    inputs: dict[str, Tensor]
    outputs: tuple[Output, ...]
    """The requested outputs; empty for all."""
    is_binary: bool
    """Whether outputs are returned as bytes unless they say otherwise."""
    has_bytes: bool = False
    """Whether the request itself is in the binary form."""

    def output_names(self) -> list[str] | None:
        """Return the names of the requested outputs; None for all."""
        return [output.name for output in self.outputs] or None

    def wants_binary(self, name: str, datatype: DataType) -> bool:
        """Return whether an output is returned as bytes.

        FP16 has no JSON form: clients that send bytes get bytes, which KServe's client expects without saying so.
        """
        if self.has_bytes and not datatype.has_json:
            return True
        return next((output.is_binary for output in self.outputs if output.name == name), self.is_binary)


def parse_infer(body: bytes, header_length: str | None = None) -> InferRequest:
    """Read an infer request: JSON, and after it the bytes of binary tensors if there is a `header_length`.

    Raises:
        InvalidJsonError: the body is not a JSON object.
        InvalidRequestError: the object does not have the protocol's form.
        InvalidTensorError: the datatype, shape and data of a tensor do not agree.
    """
    content = memoryview(body)
    split = len(body) if header_length is None else _parse_header_length(header_length, len(body))
    document = parse_object(content[:split])
    request_id = document.get("id")
    if not isinstance(request_id, str | None) or len(request_id or "") > MAX_NAME_CHARACTERS:
        raise InvalidRequestError(
            f"id: expected a string of at most {MAX_NAME_CHARACTERS} characters, got {json_shown(request_id)}"
        )
    is_binary = _flag(document, "binary_data_output", default=False)
    inputs = _parse_inputs(_objects(document, "inputs"), content[split:])
    outputs = [_parse_output(item, is_binary) for item in _objects(document, "outputs", required=False)]
    return InferRequest(request_id, inputs, tuple(outputs), is_binary, header_length is not None)


def parse_raw_infer(body: bytes, manifest: Manifest) -> InferRequest:
    """Read a raw binary request: the body is the one input's tensor, and nothing else.

    If the input has a free dimension, its size follows from the number of bytes.

    Source: Triton, `extension_binary_data.md`, "Raw Binary Request".

    Raises:
        InvalidTensorError: the model has several inputs, or the bytes do not fit its input.
    """
    first, *others = manifest.inputs
    free = [axis for axis, size in enumerate(first.shape or ()) if isinstance(size, str)]
    if others or first.shape is None or len(free) > 1:
        raise InvalidTensorError(
            f"a raw binary request: expected a model with one input with at most one free dimension, got {first}"
        )
    shape = [1 if isinstance(size, str) else size for size in first.shape]
    if free and first.datatype.size_bytes:
        row_bytes = math.prod(shape) * first.datatype.size_bytes
        shape[free[0]] = len(body) // row_bytes if row_bytes else 0
    tensor = tensors.from_bytes(first.name, first.datatype, tuple(shape), memoryview(body))
    return InferRequest(None, {first.name: tensor}, (), is_binary=True)


def infer_response(
    manifest: Manifest, request: InferRequest, outputs: dict[str, Tensor]
) -> tuple[dict[str, Any], list[memoryview]]:
    """Return the response to a request: a JSON document, and the buffers that follow it in the body.

    NaN and infinities become null in JSON, which has no form for them. Bytes carry them exactly.
    """
    document: dict[str, Any] = {"model_name": manifest.model, "model_version": str(manifest.version)}
    if request.id is not None:
        document["id"] = request.id
    document["outputs"] = items = []
    buffers: list[memoryview] = []
    binary = {name for name, tensor in outputs.items() if request.wants_binary(name, tensor.datatype)}
    json_tensors.require_json(tensor for name, tensor in outputs.items() if name not in binary)
    for name, tensor in outputs.items():
        deadline.check()
        item: dict[str, Any] = {"name": name, "datatype": tensor.datatype.name, "shape": tensor.shape}
        if name in binary:
            item["parameters"] = {"binary_data_size": len(tensor.buffer)}
            buffers.append(tensor.buffer)
        else:
            item["data"] = json_tensors.to_values(tensor)
        items.append(item)
    return document, buffers


def server_metadata(available: Mapping[str, bool]) -> dict[str, Any]:
    """Return the metadata of a server.

    Args:
        available: For each extension that settings control, whether it is switched on.
    """
    return {
        **SERVER_METADATA,
        "extensions": [name for name in (*EXTENSIONS, EDGE) if available.get(name, name != EDGE)],
    }


def model_metadata(manifest: Manifest) -> dict[str, Any]:
    """Return the metadata of a model."""
    return {
        "name": manifest.model,
        "versions": [str(manifest.version)],
        "platform": PLATFORM,
        "inputs": [_spec_metadata(spec) for spec in manifest.inputs],
        "outputs": [_spec_metadata(spec) for spec in manifest.outputs],
    }


def _spec_metadata(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if isinstance(size, str) else size for size in spec.shape or ()]
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": shape}


def parse_object(body: bytes | memoryview) -> dict[str, Any]:
    """Read a body that is a JSON object.

    Raises:
        InvalidJsonError: the body is something else.
    """
    if not body:
        raise InvalidJsonError("the body is empty, expected a JSON object")
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidJsonError(f"expected a JSON object, got {json_word(document)}")
    return document


def _parse_header_length(text: str, size_bytes: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > size_bytes:
        raise InvalidRequestError(
            f"{HEADER_LENGTH}: expected a number up to the body's {size_bytes}, got {text[:80]!r}"
        )
    return int(text)


def _objects(document: dict[str, Any], field: str, *, required: bool = True) -> list[dict[str, Any]]:
    items = document.get(field)
    if items is None and not required:
        return []
    if not isinstance(items, list):
        raise InvalidRequestError(f"{field}: expected a list of objects, got {json_word(items)}")
    for item in items:
        if not isinstance(item, dict):
            raise InvalidRequestError(f"{field}: expected a list of objects, got {json_word(item)} in it")
    if len(items) > MAX_TENSORS:
        raise InvalidRequestError(f"{field}: expected at most {MAX_TENSORS}, got {len(items)}")
    return items


def _name(item: dict[str, Any], field: str) -> str:
    name = item.get("name")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS:
        raise InvalidRequestError(
            f"{field}: expected a name of at most {MAX_NAME_CHARACTERS} characters, got {json_shown(name)}"
        )
    return name


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    """Return the `parameters` of an object, and refuse those of extensions that are not supported."""
    parameters = parse_parameters(item)
    for name in UNSUPPORTED_PARAMETERS:
        if parameters.get(name) is not None:
            raise InvalidRequestError(f"parameters: the extension {name!r} is not supported here")
    return parameters


def _flag(item: dict[str, Any], name: str, *, default: bool) -> bool:
    value = _parameters(item).get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRequestError(f"parameters: {name}: expected true or false, got {json_shown(value)}")
    return value


def _parse_output(item: dict[str, Any], is_binary: bool) -> Output:
    return Output(_name(item, "outputs"), _flag(item, "binary_data", default=is_binary))


def _parse_inputs(items: list[dict[str, Any]], binary: memoryview) -> dict[str, Tensor]:
    """Return the input tensors. `binary` consists of the bytes of the binary ones, one after another."""
    inputs: dict[str, Tensor] = {}
    offset = 0
    for item in items:
        name = _name(item, "inputs")
        if name in inputs:
            raise InvalidTensorError(f'input "{name}": given twice')
        size_bytes = _parameters(item).get("binary_data_size")
        if size_bytes is None:
            inputs[name] = _parse_json_tensor(name, item)
            continue
        if type(size_bytes) is not int or not 0 <= size_bytes <= len(binary) - offset:
            raise InvalidTensorError(
                f'input "{name}": binary_data_size: expected at most the {len(binary) - offset} bytes that are left, '
                f"got {json_shown(size_bytes)}"
            )
        inputs[name] = _parse_binary_tensor(name, item, binary[offset : offset + size_bytes])
        offset += size_bytes
    if offset != len(binary):
        raise InvalidRequestError(f"binary data: expected {offset} bytes after the JSON, got {len(binary)}")
    return inputs


def _parse_json_tensor(name: str, item: dict[str, Any]) -> Tensor:
    datatype = _parse_datatype(name, item)
    if item.get("data") is None:
        raise InvalidTensorError(f'input "{name}": expected data or binary_data_size, got {", ".join(item)}')
    return json_tensors.from_values(name, datatype, _parse_shape(name, item), item["data"])


def _parse_binary_tensor(name: str, item: dict[str, Any], buffer: memoryview) -> Tensor:
    datatype = _parse_datatype(name, item)
    if item.get("data") is not None:
        raise InvalidTensorError(f'input "{name}": expected data or binary_data_size, got both')
    return tensors.from_bytes(name, datatype, _parse_shape(name, item), buffer)


def _parse_datatype(name: str, item: dict[str, Any]) -> DataType:
    text = item.get("datatype")
    datatype = DATATYPES.get(text) if isinstance(text, str) else None
    if datatype is None:
        raise InvalidTensorError(
            f'input "{name}": expected a datatype of {", ".join(DATATYPES)}, got {json_shown(text)}'
        )
    return datatype


def _parse_shape(name: str, item: dict[str, Any]) -> tuple[int, ...]:
    shape = item.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size <= MAX_ELEMENTS for size in shape):
        raise InvalidTensorError(f'input "{name}": expected a shape of sizes, got {json_shown(shape)}')
    if len(shape) > MAX_SIZES:
        raise InvalidTensorError(f'input "{name}": expected at most {MAX_SIZES} dimensions, got {len(shape)}')
    return tuple(shape)
