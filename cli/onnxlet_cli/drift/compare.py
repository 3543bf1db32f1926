"""The comparison: how far samples have moved from a model's reference.

Source: Siddiqi, "Credit Risk Scorecards", 2006 (the population stability index; 0.1 and 0.25 are its rules of thumb);
Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation, 2020
(what chance alone makes of it).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from onnxlet.contract.manifest import Manifest
from onnxlet.contract.training_statistics import Reference
from onnxlet_cli.drift.samples import Samples

LABEL = "label"

PRIOR = 0.5
"""Added to each bin's count: an empty bin would make the index infinite (Jeffreys' prior)."""

CHANCE = 0.001
"""How often a measure that has not moved may exceed `chance`: a model may have many measures, and be asked daily."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far one measure is from the reference."""

    name: str
    index: float
    """The population stability index."""
    bound: float
    """What it may be: the threshold, or what chance alone makes of so few samples where that is more."""
    before: tuple[float, ...]
    """The share of each bin, or of each label, in the reference,"""
    now: tuple[float, ...]
    """and among the samples."""
    means: tuple[float, float] | None
    """In the reference and among the samples; None for labels."""

    @property
    def is_over(self) -> bool:
        """Whether it is a drift."""
        return self.index > self.bound

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        before, now = self.means or (None, None)
        shares = {"reference_shares": self.before, "shares": self.now}
        figures = {"index": self.index, "bound": self.bound, "moved": self.is_over}
        return {"measure": self.name, **figures, "reference_mean": before, "mean": now, **shares}


def compare(manifest: Manifest, reference: Reference, samples: Samples, threshold: float) -> list[Moved]:
    """Hold each measure of the reference that was sampled against it, what has moved furthest first."""
    found = []
    if manifest.classification is not None and samples.labels:
        counts = Counter(samples.labels)
        now = [counts[label] for label in manifest.classification.labels]
        found.append(_moved(LABEL, reference.labels, now, threshold, None))
    for name, distribution in reference.measures.items():
        values = samples.measures.get(name)
        if values:
            means = (distribution.mean, fmean(values))
            found.append(_moved(name, distribution.counts, distribution.count(values), threshold, means))
    return sorted(found, key=lambda each: each.bound - each.index)


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """The population stability index of two histograms over the same bins."""
    pairs = zip(_shares(before, PRIOR), _shares(now, PRIOR), strict=True)
    return sum((after - first) * math.log(after / first) for first, after in pairs)


def chance(before: Sequence[int], now: Sequence[int]) -> float:
    """What the index exceeds once in 1 / `CHANCE` times where nothing has moved.

    It is about chi-squared, with a degree of freedom less than there are bins, times (1 / n + 1 / m).
    """
    freedom = max(1, len(before) - 1)
    # Wilson and Hilferty's approximation of chi-squared's quantile
    share = 2 / (9 * freedom)
    quantile = freedom * (1 - share + NormalDist().inv_cdf(1 - CHANCE) * math.sqrt(share)) ** 3
    return quantile * (1 / max(1, sum(before)) + 1 / max(1, sum(now)))


def _moved(
    name: str, before: Sequence[int], now: Sequence[int], threshold: float, means: tuple[float, float] | None
) -> Moved:
    bound = max(threshold, chance(before, now))
    return Moved(name, stability_index(before, now), bound, tuple(_shares(before)), tuple(_shares(now)), means)


def _shares(counts: Sequence[int], prior: float = 0.0) -> list[float]:
    total = sum(counts) + prior * len(counts)
    return [(count + prior) / total if total else 0.0 for count in counts]
