"""Classification: labels by another function than the declared one, which Hugging Face's clients may ask for."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlet.contract import json_tensors
from onnxlet.contract.declarations import ACTIVATIONS
from onnxlet.contract.tensors import Tensor
from onnxlet.limits import deadline
from onnxlet.tasks import parameters as parsers
from onnxlet.tasks.rows import Parameters, Prediction

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.tasks.parameters import Parser

FUNCTION = "function_to_apply"

PARAMETERS: Mapping[str, Parser] = MappingProxyType({FUNCTION: parsers.choice(*ACTIVATIONS)})


def apply_function(manifest: Manifest, prediction: Prediction, parameters: Parameters) -> None:
    """Replace the labels of a prediction if the client asks for another function of the model's output."""
    classification, labels = manifest.classification, prediction.labels
    if labels is None or classification is None or parameters.get(FUNCTION) in {None, classification.activation}:
        return
    values, classes = _values(prediction.outputs[manifest.class_output()]), len(classification.labels)
    width = len(values) // len(labels)
    for place, ranked in enumerate(labels):
        deadline.check()
        scores = apply(parameters[FUNCTION], values[place * width : (place + 1) * width])
        if width == 1 and classes > 1:
            scores = [1 - scores[0], scores[0]]
        best = sorted(zip(classification.labels, scores, strict=True), key=lambda entry: -entry[1])
        labels[place] = best[: len(ranked)]


def apply(function: str, scores: Sequence[float]) -> list[float]:
    """Return the probabilities of a row's scores; a single score has nothing that a softmax could compare it with."""
    if function == "none":
        return list(scores)
    if function == "sigmoid" or len(scores) == 1:
        return [1 / (1 + math.exp(-score)) if score >= 0 else 1 - 1 / (1 + math.exp(score)) for score in scores]
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _values(scores: Tensor) -> Sequence[float]:
    """Return the numbers of an output, which may be FP16."""
    if scores.datatype.code is None:
        return struct.unpack(f"<{len(scores.buffer) // 2}e", scores.buffer)
    return json_tensors.to_values(scores)
