"""Training statistics: the distribution of a classifier's inputs and answers over examples that it never learned."""

from collections.abc import Mapping

import numpy as np

from onnxlet.contract.training_statistics import CONFIDENCE, Distribution, TrainingStatistics, measures
from onnxlet_publishing.graphs import to_tensor
from onnxlet_training.evaluate import Probabilities
from onnxlet_training.recipe import Array

CONFIDENCE_CUTS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Fixed confidence cuts: a good classifier's quantiles all lie so close to 1 that drift in them means little."""

BINS = 10
"""The number of bins of every other measure, with about as many values in each."""


def compute_statistics(inputs: Mapping[str, Array], probabilities: Probabilities) -> TrainingStatistics:
    """Compute training statistics with the functions' own measures.

    The inputs are (count, ...) by name, the probabilities (count, classes).
    """
    values: dict[str, list[float]] = {}
    for name, rows in inputs.items():
        for row in rows:
            for measure, value in measures(name, to_tensor(row)).items():
                values.setdefault(measure, []).append(value)
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    distributions = {name: _distribution(numbers, _quantiles(numbers)) for name, numbers in values.items()}
    confidence = _distribution(probabilities.max(axis=1).tolist(), CONFIDENCE_CUTS)
    return TrainingStatistics(tuple(map(int, predicted)), {CONFIDENCE: confidence, **distributions})


def _distribution(values: list[float], cuts: tuple[float, ...]) -> Distribution:
    empty = Distribution(cuts, (0,) * (len(cuts) + 1), float(np.mean(values)))
    return Distribution(cuts, empty.count(values), empty.mean)


def _quantiles(values: list[float]) -> tuple[float, ...]:
    """Return cuts with equally many values between them; repeated values give fewer cuts."""
    cuts = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return tuple(map(float, cuts))
