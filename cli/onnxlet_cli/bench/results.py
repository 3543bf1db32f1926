"""What one part of the benchmark found: the series that were measured, and what is made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnxlet_cli.bench.goals import GOALS, Goal
from onnxlet_cli.bench.statistics import Series


@dataclass(frozen=True)
class Comparison:
    """One figure: ours beside a reference of the same run."""

    key: str
    """Stable; finds the goal."""
    what: str
    ours: Series
    reference: Series
    unit: str = ""
    """Empty for a ratio of medians; else the unit of their difference."""

    @property
    def value(self) -> float:
        """The ratio of the medians, or their difference."""
        if self.unit:
            return self.ours.median - self.reference.median
        return self.ours.ratio(self.reference)

    @property
    def goal(self) -> Goal | None:
        """What it must be, where there is such a thing."""
        return GOALS.get(self.key)


@dataclass(frozen=True)
class Panel:
    """A part of the chart: a bar for each series, ours in colour."""

    title: str
    bars: Mapping[str, Series]
    """By their labels, from the top; ours begin with `onnxlet`."""


@dataclass(frozen=True)
class Section:
    """What one part of the benchmark found."""

    name: str
    title: str
    series: Sequence[Series] = ()
    comparisons: Sequence[Comparison] = ()
    notes: Sequence[str] = ()
    """What was left out, and why; what a figure includes."""
    panels: Sequence[Panel] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the document keeps."""

    def to_document(self) -> dict[str, Any]:
        """The section for machines, with every sample."""
        return {
            "name": self.name,
            "title": self.title,
            "series": [_series(series) for series in self.series],
            "comparisons": [_comparison(comparison) for comparison in self.comparisons],
            "notes": list(self.notes),
            **self.facts,
        }


def _series(series: Series) -> dict[str, Any]:
    return {
        "label": series.label,
        "unit": series.unit,
        "runs": len(series.samples),
        "median": series.median,
        "p99": series.p99,
        "min": series.best,
        "samples": list(series.samples),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    goal = comparison.goal
    return {
        "key": comparison.key,
        "what": comparison.what,
        "value": comparison.value,
        "unit": comparison.unit or "ratio",
        "ours": comparison.ours.label,
        "reference": comparison.reference.label,
        "goal": None if goal is None else goal.bound,
        "goal_is": None if goal is None else "at least" if goal.is_least else "at most",
        "met": None if goal is None else goal.is_met(comparison.value),
    }
