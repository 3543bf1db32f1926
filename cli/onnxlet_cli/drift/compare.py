"""The comparison: how far samples have moved from a model's training statistics.

Source: Siddiqi, "Credit Risk Scorecards", 2006 (the population stability index; 0.1 and 0.25 are its rules of thumb);
Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation, 2020
(its distribution by chance).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from onnxlet.contract.manifest import Manifest
from onnxlet.contract.training_statistics import TrainingStatistics
from onnxlet_cli.drift.samples import Samples

LABEL = "label"

PRIOR = 0.5
"""Number added to each bin's count, because an empty bin would make the index infinite (Jeffreys' prior)."""

CHANCE = 0.001
"""Probability that a measure which has not moved exceeds `chance`: a model may have many measures, checked daily."""


@dataclass(frozen=True, slots=True)
class MeasureDrift:
    """The distance of one measure from its training statistics."""

    name: str
    index: float
    """The population stability index."""
    bound: float
    """The largest index that is no drift: the threshold, or the index that chance can reach, if that is larger."""
    training: tuple[float, ...]
    """The share of each bin or label in training."""
    now: tuple[float, ...]
    """The share of each bin or label among the samples."""
    means: tuple[float, float] | None
    """The means in training and among the samples; None for labels."""

    @property
    def has_moved(self) -> bool:
        """Whether the index exceeds the bound."""
        return self.index > self.bound

    def to_document(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        training_mean, mean = self.means or (None, None)
        shares = {"reference_shares": self.training, "shares": self.now}
        figures = {"index": self.index, "bound": self.bound, "moved": self.has_moved}
        return {"measure": self.name, **figures, "reference_mean": training_mean, "mean": mean, **shares}


def compare(manifest: Manifest, training: TrainingStatistics, samples: Samples, threshold: float) -> list[MeasureDrift]:
    """Compare each sampled measure with its training statistics; return those that moved furthest first."""
    drifts = []
    if manifest.classification is not None and samples.labels:
        counts = Counter(samples.labels)
        now = [counts[label] for label in manifest.classification.labels]
        drifts.append(_drift(LABEL, training.labels, now, threshold, None))
    for name, distribution in training.measures.items():
        values = samples.measures.get(name)
        if values:
            means = (distribution.mean, fmean(values))
            drifts.append(_drift(name, distribution.counts, distribution.count(values), threshold, means))
    return sorted(drifts, key=lambda drift: drift.bound - drift.index)


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two histograms over the same bins."""
    pairs = zip(_shares(before, PRIOR), _shares(now, PRIOR), strict=True)
    return sum((after - first) * math.log(after / first) for first, after in pairs)


def chance(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the index that is exceeded with the probability `CHANCE` if nothing has moved.

    The index is approximately chi-squared, with one degree of freedom fewer than bins, times (1 / n + 1 / m).
    """
    freedom = max(1, len(before) - 1)
    # Wilson and Hilferty's approximation of chi-squared's quantile
    share = 2 / (9 * freedom)
    quantile = freedom * (1 - share + NormalDist().inv_cdf(1 - CHANCE) * math.sqrt(share)) ** 3
    return quantile * (1 / max(1, sum(before)) + 1 / max(1, sum(now)))


def _drift(
    name: str, before: Sequence[int], now: Sequence[int], threshold: float, means: tuple[float, float] | None
) -> MeasureDrift:
    bound = max(threshold, chance(before, now))
    return MeasureDrift(name, stability_index(before, now), bound, tuple(_shares(before)), tuple(_shares(now)), means)


def _shares(counts: Sequence[int], prior: float = 0.0) -> list[float]:
    total = sum(counts) + prior * len(counts)
    return [(count + prior) / total if total else 0.0 for count in counts]
