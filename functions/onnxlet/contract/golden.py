"""Golden example: inputs of a version with the outputs that every runtime must return for them.

Schema 1 holds every tensor whole. In schema 2 an input with a `period` has only its first `period` elements as `data`,
which repeat until its shape is filled, and an output with a `step` has only the elements 0, `step`, 2 `step` ...
"""

from __future__ import annotations

import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnxlet.contract.document import Document, to_json
from onnxlet.contract.tensors import DATATYPES, DataType, Tensor, from_bytes, pack_strings, unpack_strings
from onnxlet.errors import InvalidTensorError, ManifestError
from onnxlet.record import EMPTY, Record

WHOLE, REDUCED = SCHEMAS = (1, 2)

MAX_DIFFERENCE = 1e-3
"""Largest difference between two CPUs, two layouts of the weights, or a framework and ONNX Runtime."""

MAX_BYTES = 1024 * 1024
"""Size of an example that is written, because a cold start may wait for it; older examples may be larger."""

MAX_INPUT_BYTES = 64 * 1024 * 1024
"""Size of an input that a reader makes of a few repeated bytes."""

PERIOD = 4093
"""Elements after which inputs of a reduced example repeat: a prime, so that the rows of an image differ."""

MAX_SAMPLES = 32_768
"""Elements of all outputs together that a reduced example keeps."""


class Sample(Record):
    """Some elements of an output that is too large to store whole."""

    shape: tuple[int, ...]
    """The shape of the whole output."""
    step: int
    """The distance between two kept elements."""
    elements: Tensor
    """The elements 0, `step`, 2 `step` ... in row-major order, as a tensor of rank 1."""

    @classmethod
    def of(cls, tensor: Tensor, at_most: int) -> Sample:
        """Keep at most `at_most` elements of a tensor, at a step that reaches every column and channel."""
        count = math.prod(tensor.shape)
        step = max(1, -(-count // at_most))
        while math.gcd(step, count) > 1:
            step += 1
        return cls(tensor.shape, step, _every(tensor, step))

    def difference(self, output: Tensor) -> float:
        """Return the largest difference from the same elements of another tensor; see `Golden.difference`."""
        if (output.datatype, output.shape) != (self.elements.datatype, self.shape):
            return math.inf
        return _difference(_every(output, self.step), self.elements)


class Golden(Record):
    """Input tensors by name, and the expected outputs."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    """Outputs that are compared in full."""
    samples: Mapping[str, Sample] = EMPTY
    """Outputs of which only samples are compared."""
    random: tuple[str, ...] = ()
    """Outputs that are not compared, because the model draws random numbers for them."""

    @property
    def compared(self) -> list[str]:
        """The names of the outputs that are compared."""
        return [*self.outputs, *self.samples]

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores.

        Raises:
            ManifestError: the reduced example still has more than `MAX_BYTES`.
        """
        data = to_json(self._to_document(is_reduced=False))
        if len(data) > MAX_BYTES:
            data = to_json(self._to_document(is_reduced=True))
        if len(data) > MAX_BYTES:
            raise ManifestError(f"golden example: expected at most {MAX_BYTES} bytes, got {len(data)}")
        return data

    def reduced(self) -> Golden:
        """Return this example with samples of all outputs instead of the whole ones."""
        at_most = max(1, MAX_SAMPLES // max(1, len(self.outputs)))
        samples = {name: Sample.of(tensor, at_most) for name, tensor in self.outputs.items()}
        return Golden(self.inputs, {}, {**self.samples, **samples}, self.random)

    def difference(self, outputs: Mapping[str, Tensor]) -> float:
        """Return the largest difference between a number of the outputs and the expected number.

        The difference is relative if the expected number is larger than 1. It is infinite if shapes or strings differ,
        or if only one number is infinite or NaN.
        """
        return max(self._differences(outputs), default=0.0)

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Golden:
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: the schema is unknown, or a field is malformed.
        """
        document = Document.parse(data, path)
        schema = document.content.get("schema")
        document.require_schema(REDUCED if schema == REDUCED else WHOLE)
        outputs = {item.text("name"): item for item in document.documents("outputs")}
        return cls(
            inputs={item.text("name"): _parse_input(item) for item in document.documents("inputs")},
            outputs={name: _parse_tensor(item) for name, item in outputs.items() if "step" not in item.content},
            samples={name: _parse_sample(item) for name, item in outputs.items() if "step" in item.content},
            random=document.texts("random") if "random" in document.content else (),
        )

    def _to_document(self, *, is_reduced: bool) -> dict[str, Any]:
        inputs = to_items(self.inputs)
        if is_reduced:
            inputs = [_without_repetition(item, self.inputs[item["name"]]) for item in inputs]
        samples = [_sample_to_item(name, sample) for name, sample in self.samples.items()]
        is_whole = not samples and not any("period" in item for item in inputs)
        document: dict[str, Any] = {
            "schema": WHOLE if is_whole else REDUCED,
            "inputs": inputs,
            "outputs": to_items(self.outputs) + samples,
        }
        return {**document, "random": self.random} if self.random else document

    def _differences(self, outputs: Mapping[str, Tensor]) -> Iterator[float]:
        for name, expected in self.outputs.items():
            yield _difference(outputs[name], expected)
        for name, sample in self.samples.items():
            yield sample.difference(outputs[name])


def to_items(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Return tensors by name as JSON objects, with their bytes in base64."""
    return [
        {
            "name": name,
            "datatype": tensor.datatype.name,
            "shape": tensor.shape,
            "data": b64encode(tensor.buffer).decode(),
        }
        for name, tensor in tensors.items()
    ]


def repeated(datatype: DataType, shape: tuple[int, ...], data: bytes) -> Tensor:
    """Return a tensor whose elements repeat those in `data`, which have a fixed size."""
    size_bytes = math.prod(shape) * datatype.size_bytes
    times = -(-size_bytes // max(1, len(data)))
    return Tensor(datatype, shape, memoryview(data * times)[:size_bytes])


def _without_repetition(item: dict[str, Any], tensor: Tensor) -> dict[str, Any]:
    """Return an input's JSON object with only the first `PERIOD` elements, if the others repeat them."""
    start = bytes(tensor.buffer[: PERIOD * tensor.datatype.size_bytes])
    if not start or repeated(tensor.datatype, tensor.shape, start).buffer != tensor.buffer:
        return item
    return {**item, "data": b64encode(start).decode(), "period": len(start) // tensor.datatype.size_bytes}


def _sample_to_item(name: str, sample: Sample) -> dict[str, Any]:
    (item,) = to_items({name: sample.elements})
    return {**item, "shape": sample.shape, "step": sample.step}


def _every(tensor: Tensor, step: int) -> Tensor:
    """Return the elements 0, `step`, 2 `step` ... of a tensor, as a tensor of rank 1."""
    size_bytes = tensor.datatype.size_bytes
    if step == 1:
        data = tensor.buffer
    elif size_bytes:
        starts = range(0, len(tensor.buffer), step * size_bytes)
        data = memoryview(b"".join(tensor.buffer[start : start + size_bytes] for start in starts))
    else:
        data = pack_strings(unpack_strings(tensor.buffer)[::step])
    return Tensor(tensor.datatype, (-(-math.prod(tensor.shape) // step),), data)


def _difference(output: Tensor, expected: Tensor) -> float:
    if (output.datatype, output.shape) != (expected.datatype, expected.shape):
        return math.inf
    if bytes(output.buffer) == bytes(expected.buffer):
        return 0.0
    if not output.datatype.size_bytes:
        return math.inf
    return max(map(_distance, _numbers(output), _numbers(expected)))


def _numbers(tensor: Tensor) -> Sequence[float]:
    """Return the elements of a tensor of numbers, also of FP16, for which `memoryview` has no code."""
    count = math.prod(tensor.shape)
    return struct.unpack(f"<{count}{tensor.datatype.code or 'e'}", tensor.buffer)


def _distance(value: float, expected: float) -> float:
    """Return the difference of two numbers, relative to a large expected one; two NaN are equal."""
    if value == expected or (math.isnan(value) and math.isnan(expected)):
        return 0.0
    if not (math.isfinite(value) and math.isfinite(expected)):
        return math.inf  # not NaN, which compares as below every bound
    return abs(value - expected) / max(1.0, abs(expected))


def _parse_input(item: Document) -> Tensor:
    if "period" not in item.content:
        return _parse_tensor(item)
    datatype, shape = _parse_datatype(item), _parse_shape(item)
    if not 0 < math.prod(shape) * datatype.size_bytes <= MAX_INPUT_BYTES:
        raise item.error("shape", f"1 to {MAX_INPUT_BYTES} bytes of elements of a fixed size that repeat")
    start = _parse_data(item, datatype, (item.integer("period", 1),))
    return repeated(datatype, shape, bytes(start.buffer))


def _parse_sample(item: Document) -> Sample:
    shape, step = _parse_shape(item), item.integer("step", 1)
    elements = _parse_data(item, _parse_datatype(item), (-(-math.prod(shape) // step),))
    return Sample(shape, step, elements)


def _parse_tensor(item: Document) -> Tensor:
    return _parse_data(item, _parse_datatype(item), _parse_shape(item))


def _parse_datatype(item: Document) -> DataType:
    return DATATYPES[item.choice("datatype", tuple(DATATYPES))]


def _parse_shape(item: Document) -> tuple[int, ...]:
    shape = item.items("shape")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise item.error("shape", "sizes")
    return tuple(shape)


def _parse_data(item: Document, datatype: DataType, shape: tuple[int, ...]) -> Tensor:
    data = item.content.get("data")
    if not isinstance(data, str):
        raise item.error("data", "a string")
    try:
        return from_bytes(item.text("name"), datatype, shape, memoryview(b64decode(data, validate=True)))
    except (InvalidTensorError, ValueError) as error:  # base64 raises ValueError
        raise item.error("data", f"the tensor as base64: {error}") from error
