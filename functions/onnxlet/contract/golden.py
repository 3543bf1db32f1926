"""The golden example: inputs of a version with the outputs that it must give, wherever and whenever it is loaded."""

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxlet.contract.document import Document, to_json
from onnxlet.contract.tensors import DATATYPES, Tensor, from_bytes, to_values
from onnxlet.errors import InvalidTensorError

SCHEMA = 1

MAX_DIFFERENCE = 1e-3
"""Between two CPUs, two layouts of the weights, or a framework and ONNX Runtime."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Tensors by name, as they go in and as they must come out."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def to_json(self) -> bytes:
        """The bytes that the registry stores."""
        return to_json({"schema": SCHEMA, "inputs": to_items(self.inputs), "outputs": to_items(self.outputs)})

    def difference(self, found: Mapping[str, Tensor]) -> float:
        """How far outputs are from the golden ones: the largest difference of two numbers.

        Differences are relative where a number is larger than one. Infinite where shapes or texts differ, or
        where a number is infinite or NaN and the other is not the same.
        """
        return max((_difference(found[name], expected) for name, expected in self.outputs.items()), default=0.0)

    @classmethod
    def from_json(cls, data: bytes, path: str) -> "Golden":
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: an unknown schema, or anything malformed.
        """
        document = Document.parse(data, path)
        document.require_schema(SCHEMA)
        return cls(_parse_items(document, "inputs"), _parse_items(document, "outputs"))


def to_items(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Tensors by name as JSON has them, whole, their bytes as base64."""
    return [
        {
            "name": name,
            "datatype": tensor.datatype.name,
            "shape": tensor.shape,
            "data": b64encode(tensor.buffer).decode(),
        }
        for name, tensor in tensors.items()
    ]


def _parse_items(document: Document, field: str) -> dict[str, Tensor]:
    return {item.text("name"): _parse_tensor(item) for item in document.documents(field)}


def _difference(found: Tensor, expected: Tensor) -> float:
    if (found.datatype, found.shape) != (expected.datatype, expected.shape):
        return math.inf
    if bytes(found.buffer) == bytes(expected.buffer):
        return 0.0
    if found.datatype.code is None:
        return math.inf
    return max(map(_distance, to_values(found), to_values(expected)))


def _distance(found: float, expected: float) -> float:
    """Between two numbers: relative to the expected one where that is large; two NaN are the same."""
    if found == expected or (math.isnan(found) and math.isnan(expected)):
        return 0.0
    if not (math.isfinite(found) and math.isfinite(expected)):
        return math.inf  # and not NaN, which is above no bound
    return abs(found - expected) / max(1.0, abs(expected))


def _parse_tensor(item: Document) -> Tensor:
    datatype = DATATYPES[item.choice("datatype", tuple(DATATYPES))]
    shape = item.items("shape")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise item.error("shape", "sizes")
    data = item.content.get("data")
    if not isinstance(data, str):
        raise item.error("data", "a string")
    try:
        return from_bytes(item.text("name"), datatype, tuple(shape), memoryview(b64decode(data, validate=True)))
    except (InvalidTensorError, ValueError) as error:  # base64's own is a ValueError
        raise item.error("data", f"the tensor as base64: {error}") from error
