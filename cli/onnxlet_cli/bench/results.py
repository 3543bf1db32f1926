"""The results of a part of the benchmark: the measured series, the figures and panels made of them, and their goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnxlet_cli.bench.series import Series


@dataclass(frozen=True)
class Goal:
    """A bound on a figure."""

    bound: float
    is_least: bool = False
    """Whether the figure must be at least the bound; otherwise at most."""

    def is_met(self, value: float) -> bool:
        """Return whether a figure meets the goal."""
        return value >= self.bound if self.is_least else value <= self.bound


GOALS = {
    "cold mobile / typical": Goal(0.25),
    "cold mobile / limit": Goal(0.70),
    "cold mobile / naive": Goal(0.05),
    "cold resnet50 / typical": Goal(0.20),
    "cold resnet50 / limit": Goal(0.55),
    "cold photo / typical": Goal(0.35),
    "cold text / binary": Goal(1.3),
    "cold text / typical": Goal(0.4),
    "memory resnet50 / typical": Goal(0.60),
    "warm tiny binary - run": Goal(60.0),
    "warm tiny json - run": Goal(100.0),
    "warm mobile binary / run": Goal(1.03),
    "warm mobile json / run": Goal(3.5),
    "warm http / bare": Goal(1.15),
    "warm quota / default threads": Goal(0.6),
    "events / one by one": Goal(4.0, is_least=True),
}
"""The goals by the keys of comparisons."""


@dataclass(frozen=True)
class Comparison:
    """One figure: onnxlet compared with a baseline of the same run."""

    key: str
    """A stable key, by which the figure has its goal."""
    what: str
    ours: Series
    baseline: Series
    unit: str = ""
    """The unit of a difference of medians; empty for a ratio of medians."""

    @property
    def value(self) -> float:
        """The ratio of the medians, or their difference."""
        if self.unit:
            return self.ours.median - self.baseline.median
        return self.ours.ratio(self.baseline)

    @property
    def goal(self) -> Goal | None:
        """The figure's goal; None if it has none."""
        return GOALS.get(self.key)


@dataclass(frozen=True)
class Panel:
    """A part of the chart: a bar for each series."""

    title: str
    bars: Mapping[str, Series]
    """The series by their labels, from the top; labels that begin with `onnxlet` are drawn in colour."""


@dataclass(frozen=True)
class Section:
    """The results of one part of the benchmark."""

    name: str
    title: str
    series: Sequence[Series] = ()
    comparisons: Sequence[Comparison] = ()
    notes: Sequence[str] = ()
    """Remarks: the cases that were left out and why, and what a figure includes."""
    panels: Sequence[Panel] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the document."""

    def to_document(self) -> dict[str, Any]:
        """Return the section as a JSON document, with every sample."""
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
        "baseline": comparison.baseline.label,
        "goal": None if goal is None else goal.bound,
        "goal_is": None if goal is None else "at least" if goal.is_least else "at most",
        "met": None if goal is None else goal.is_met(comparison.value),
    }
