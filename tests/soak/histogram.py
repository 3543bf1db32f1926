"""The histogram: durations counted in buckets, so that hours of them take no more memory than seconds."""

from array import array
from math import log

SHORTEST_S = 1e-5
GROWTH = 1.02
"""From a bucket to the next: a percentile is at most 2 % too large."""
BUCKETS = 900
"""Up to 550 s."""


class Histogram:
    """How many requests took how long."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * BUCKETS))

    def add(self, seconds: float) -> None:
        bucket = int(log(max(seconds, SHORTEST_S) / SHORTEST_S, GROWTH))
        self._counts[min(bucket, BUCKETS - 1)] += 1

    def merge(self, other: "Histogram") -> None:
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count

    @property
    def count(self) -> int:
        return sum(self._counts)

    def percentile(self, percent: float) -> float:
        """The seconds that so many percent of the durations do not exceed; 0 where there are none."""
        left = self.count * percent / 100
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return float(SHORTEST_S * GROWTH ** (bucket + 1))
        return 0.0
