"""The comparison of an object's result with the golden example of the version that answered."""

import math
from collections.abc import Sequence
from typing import Any

from onnxlet import session
from onnxlet.contract import json_tensors
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import InvalidTensorError
from onnxlet.models.model import Model
from onnxlet.record import replace
from onnxlet.registry.registry import Registry


def difference(registry: Registry, manifest: Manifest, golden: Golden, predictions: list[Any]) -> float | None:
    """Return the largest difference between a result and the golden outputs; None if nothing can be compared.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError, OnnxletError: the result has another form.
    """
    if manifest.classification is not None:
        return _label_difference(registry, manifest, golden, predictions)
    return _value_difference(manifest, golden, predictions)


def _value_difference(manifest: Manifest, golden: Golden, predictions: list[Any]) -> float | None:
    """Return the largest difference of a tensor's values; None if there is no tensor to compare."""
    shapes = {name: tensor.shape for name, tensor in golden.outputs.items()}
    shapes |= {name: sample.shape for name, sample in golden.samples.items()}
    outputs = {}
    for name, shape in shapes.items():
        datatype = next(spec.datatype for spec in manifest.outputs if spec.name == name)
        values = predictions if len(manifest.outputs) == 1 else [prediction[name] for prediction in predictions]
        rows = json_tensors.from_nested(name, datatype, values)
        outputs[name] = rows if rows.shape == shape else json_tensors.from_nested(name, datatype, values[0])
    return golden.difference(outputs) if outputs else None


def through_json(golden: Golden) -> Golden:
    """Return an example with the outputs as they are after a way through JSON: an infinity becomes NaN.

    Raises:
        InvalidTensorError, TooLargeError: an output has no JSON form.
    """
    outputs = {name: _as_json(tensor) for name, tensor in golden.outputs.items()}
    samples = {name: replace(sample, elements=_as_json(sample.elements)) for name, sample in golden.samples.items()}
    return replace(golden, outputs=outputs, samples=samples)


def _as_json(tensor: Tensor) -> Tensor:
    values = _without_infinity(json_tensors.to_nested(tensor))
    decoded = json_tensors.from_nested("output", tensor.datatype, values)
    if decoded.shape != tensor.shape:
        raise InvalidTensorError(f"a tensor of the shape {tensor.shape} has no JSON form")
    return decoded


def _without_infinity(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_infinity(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _label_difference(
    registry: Registry, manifest: Manifest, golden: Golden, predictions: Sequence[Any]
) -> float | None:
    """Return the largest difference of a label's probability; None if the golden example has no classes to compare."""
    output = golden.outputs.get(manifest.class_output())
    artifact, classification = manifest.artifact("postprocess"), manifest.classification
    if output is None or artifact is None or classification is None:
        return None
    graph = session.open_session(registry.artifacts.read(artifact))
    labels = classification.labels
    indices, probabilities = map(
        json_tensors.to_values, Model(manifest, graph, None, graph).classify(output, len(labels))
    )
    rows = [
        [(labels[index], probability) for index, probability in zip(row_indices, row_probabilities, strict=True)]
        for row_indices, row_probabilities in zip(
            _rows(indices, len(labels)), _rows(probabilities, len(labels)), strict=True
        )
    ]
    return max(_row_difference(row, prediction) for row, prediction in zip(rows, predictions, strict=True))


def _row_difference(expected: list[tuple[str, float]], prediction: dict[str, Any]) -> float:
    """Return the largest difference in one row: of each label's probability, and of the most probable label's."""
    differences: list[float] = [
        min(abs(probability - answer["probability"]) for label, probability in expected if label == answer["label"])
        for answer in prediction["top"]
    ]
    differences.append(abs(expected[0][1] - prediction["probability"]))
    differences.append(abs(prediction["top"][0]["probability"] - prediction["probability"]))
    return max(differences)


def _rows(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
