"""The goals of the benchmark's figures; the report shows each next to the measurement."""

from dataclasses import dataclass


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
