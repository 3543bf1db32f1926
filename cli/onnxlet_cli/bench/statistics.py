"""Medians, 99th percentiles and ratios of what was measured, and the order in which it is measured."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Measured = TypeVar("Measured")


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value under which so many percent of the samples lie, interpolated between neighbours.

    Of fewer than a hundred samples the 99th is close to the largest.

    Source: Hyndman and Fan, "Sample quantiles in statistical packages" (1996), definition 7, numpy's default.
    """
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(samples: Sequence[float]) -> float:
    """The value in the middle."""
    return percentile(samples, 50)


@dataclass(frozen=True)
class Series:
    """What was measured of one thing, over and over."""

    label: str
    samples: tuple[float, ...]
    unit: str
    """`ms`, `us`, `MiB` or `objects/s`."""

    @property
    def median(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def best(self) -> float:
        """The smallest: what is left of the noise of a busy machine, where it is a time."""
        return min(self.samples)

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        return percentile(self.samples, 99)

    def ratio(self, reference: "Series") -> float:
        """Our median as a share of the reference's."""
        return self.median / reference.median


def interleave(
    cases: Mapping[str, Callable[[], Measured]], runs: int, at_most: Mapping[str, int] | None = None
) -> Iterator[tuple[str, Measured]]:
    """Measure every case once in each round, so that a change of the machine's pace meets all of them alike.

    The first round is not counted: it fills the page cache and writes bytecode. Each round begins with another case, so
    that none always follows the same one.

    Args:
        cases: What is measured, by name.
        runs: How many rounds count.
        at_most: Of cases that take long, how many rounds have them.
    """
    for round_number in range(runs + 1):
        names = [name for name in cases if round_number <= (at_most or {}).get(name, runs)]
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            measured = cases[name]()
            if round_number:
                yield name, measured
