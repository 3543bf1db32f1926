"""The prices: one dated file of list prices, each with its source and how it is known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("prices.json")


@dataclass(frozen=True)
class InstanceType:
    """A machine that is always on."""

    name: str
    architecture: str
    vcpus: int
    memory_mib: int
    usd_per_hour: float


@dataclass(frozen=True)
class Prices:
    """List prices in US dollars."""

    date: str
    """When the file was last looked over."""
    usd: Mapping[str, float]
    """For one unit, by the names in the file."""
    free: Mapping[str, float]
    """What costs nothing each month, in the same units; empty where that is left aside."""
    instances: tuple[InstanceType, ...]
    unverified: tuple[str, ...]
    """The names of prices that are remembered, and were not looked up."""


def load_prices(path: Path = FILE, *, has_free_tier: bool = False) -> Prices:
    """Read a file of prices.

    Args:
        path: The file.
        has_free_tier: Whether what the clouds give away each month is taken off; an account has it once, for all of
            its functions.
    """
    document: dict[str, Any] = json.loads(path.read_text())
    usd = {name: price["usd"] / price["per"] for name, price in document["prices"].items()}
    free = {name: float(entry["amount"]) for name, entry in document["free_each_month"].items()}
    instances = (
        InstanceType(name, usd_per_hour=usd[f"instance_{name}_hour"], **entry)
        for name, entry in document["instances"].items()
    )
    unverified = (name for name, price in document["prices"].items() if price["status"] == "remembered")
    return Prices(document["date"], usd, free if has_free_tier else {}, tuple(instances), tuple(unverified))
