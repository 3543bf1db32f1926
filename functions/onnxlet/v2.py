"""The Open Inference Protocol V2: its documents in and out of our tensors.

Source: https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from onnxlet import __version__
from onnxlet.contract import tensors
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InvalidJsonError, InvalidRequestError, InvalidTensorError

PLATFORM = "onnx_onnxv1"
MAX_ELEMENTS = 2**31
"""Of one tensor: more cannot arrive in a body that either cloud takes."""

SERVER_METADATA = {"name": "onnxlet", "version": __version__, "extensions": []}


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request to run a model."""

    id: str | None
    inputs: dict[str, Tensor]
    outputs: list[str] | None
    """None asks for all."""


def parse_infer(body: bytes) -> InferRequest:
    """Read the JSON body of an infer request.

    Raises:
        InvalidJsonError: not a JSON object.
        InvalidRequestError: not of the protocol's form.
        InvalidTensorError: a tensor whose datatype, shape and data do not agree.
    """
    document = _parse_object(body)
    request_id = document.get("id")
    if not isinstance(request_id, str | None):
        raise InvalidRequestError(f"id: expected a string, got {type(request_id).__name__}")
    inputs: dict[str, Tensor] = {}
    for item in _objects(document, "inputs"):
        name = _name(item, "inputs")
        if name in inputs:
            raise InvalidTensorError(f'input "{name}": given twice')
        inputs[name] = _parse_tensor(name, item)
    outputs = [_name(item, "outputs") for item in _objects(document, "outputs")] if "outputs" in document else None
    return InferRequest(request_id, inputs, outputs or None)


def infer_response(manifest: Manifest, request_id: str | None, outputs: dict[str, Tensor]) -> dict[str, Any]:
    """The answer to an infer request; NaN and infinities become null, which JSON has for them."""
    document: dict[str, Any] = {"model_name": manifest.model, "model_version": str(manifest.version)}
    if request_id is not None:
        document["id"] = request_id
    document["outputs"] = [
        {"name": name, "datatype": tensor.datatype.name, "shape": tensor.shape, "data": tensors.to_values(tensor)}
        for name, tensor in outputs.items()
    ]
    return document


def model_metadata(manifest: Manifest) -> dict[str, Any]:
    """What the protocol says of a model."""
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


def _parse_object(body: bytes) -> dict[str, Any]:
    if not body:
        raise InvalidJsonError("the body is empty, expected a JSON object")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidJsonError(f"expected a JSON object, got {type(document).__name__}")
    return document


def _objects(document: dict[str, Any], field: str) -> list[dict[str, Any]]:
    items = document.get(field)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidRequestError(f"{field}: expected a list of objects, got {type(items).__name__}")
    return items


def _name(item: dict[str, Any], field: str) -> str:
    name = item.get("name")
    if not isinstance(name, str):
        raise InvalidRequestError(f"{field}: expected a name, got {name!r:.80}")
    return name


def _parse_tensor(name: str, item: dict[str, Any]) -> Tensor:
    datatype = DATATYPES.get(item["datatype"]) if isinstance(item.get("datatype"), str) else None
    if datatype is None:
        raise InvalidTensorError(
            f'input "{name}": expected a datatype of {", ".join(DATATYPES)}, got {item.get("datatype")!r:.80}'
        )
    if "data" not in item:
        raise InvalidTensorError(f'input "{name}": expected data, got {", ".join(item)}')
    return tensors.from_values(name, datatype, _parse_shape(name, item.get("shape")), item["data"])


def _parse_shape(name: str, shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size <= MAX_ELEMENTS for size in shape):
        raise InvalidTensorError(f'input "{name}": expected a shape of sizes, got {shape!r:.80}')
    return tuple(shape)
