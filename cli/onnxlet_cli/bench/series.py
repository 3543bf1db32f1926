"""Series of measurements: their medians and 99th percentiles, and the order in which cases are measured."""

import gc
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one quantity."""

    label: str
    samples: tuple[float, ...]
    unit: str
    """`ms`, `us`, `MiB` or `objects/s`."""

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.samples)

    @property
    def best(self) -> float:
        """The smallest sample: for a time, the one with the least noise of a busy machine."""
        return min(self.samples)

    @property
    def p99(self) -> float:
        """The 99th percentile; with fewer than 100 samples it is close to the largest."""
        if len(self.samples) == 1:  # `quantiles` takes one sample only since Python 3.13
            return self.samples[0]
        return statistics.quantiles(self.samples, n=100, method="inclusive")[-1]

    def ratio(self, baseline: "Series") -> float:
        """Return this median divided by the baseline's."""
        return self.median / baseline.median


def interleave(
    cases: Mapping[str, Callable[[], Measured]], runs: int, max_runs: Mapping[str, int] | None = None
) -> Iterator[tuple[str, Measured]]:
    """Measure every case once in each round, so that a change in the machine's speed affects all cases alike.

    The first round does not count: it fills the page cache and writes bytecode. Each round begins with a different
    case, so that no case always follows the same one. `max_runs` has the number of rounds of slow cases, by name.
    """
    for round_number in range(runs + 1):
        names = [name for name in cases if round_number <= (max_runs or {}).get(name, runs)]
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            measured = cases[name]()
            if round_number:
                yield name, measured
