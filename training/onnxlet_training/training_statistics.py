"""The reference of a classifier: how its inputs and its answers are distributed over examples that it never learnt."""

from collections.abc import Mapping

import numpy as np

from onnxlet.contract.training_statistics import CONFIDENCE, Distribution, Reference, measures
from onnxlet_publishing.graphs import to_tensor
from onnxlet_training.evaluate import Probabilities
from onnxlet_training.recipe import Array

CONFIDENCE_CUTS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Fixed: quantiles of a good classifier's confidence all lie within a hair of 1, where a drift does not matter."""

BINS = 10
"""Of every other measure, with about as many values in each."""


def make_reference(inputs: Mapping[str, Array], probabilities: Probabilities) -> Reference:
    """Measure rows as the functions will.

    Args:
        inputs: What the model takes, by name, (count, ...).
        probabilities: What it answers, (count, classes).
    """
    found: dict[str, list[float]] = {}
    for name, rows in inputs.items():
        for row in rows:
            for measure, value in measures(name, to_tensor(row)).items():
                found.setdefault(measure, []).append(value)
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    distributions = {name: _distribution(values, _quantiles(values)) for name, values in found.items()}
    confidence = _distribution(probabilities.max(axis=1).tolist(), CONFIDENCE_CUTS)
    return Reference(tuple(map(int, predicted)), {CONFIDENCE: confidence, **distributions})


def _distribution(values: list[float], cuts: tuple[float, ...]) -> Distribution:
    empty = Distribution(cuts, (0,) * (len(cuts) + 1), float(np.mean(values)))
    return Distribution(cuts, empty.count(values), empty.mean)


def _quantiles(values: list[float]) -> tuple[float, ...]:
    """Cuts with as many values between them, and fewer of them where values occur again and again."""
    cuts = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return tuple(map(float, cuts))
