"""List prices from one dated file, each with its source and with how it was found."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from onnxlet_cli.cost.json_file import read_object
from onnxlet_publishing.errors import UsageError

FILE = Path(__file__).with_name("prices.json")

Document = Mapping[str, Any]


@dataclass(frozen=True)
class InstanceType:
    """A type of machine that is always on."""

    name: str
    architecture: str
    vcpus: int
    memory_mib: int
    usd_per_hour: float


@dataclass(frozen=True)
class Prices:
    """List prices in US dollars."""

    date: str
    """The date of the file's last review."""
    path: Path
    usd: Mapping[str, float]
    """Prices of one unit, by the names in the file."""
    free: Mapping[str, float]
    """Free units each month, by the same names; empty if the free tier does not count."""
    instances: tuple[InstanceType, ...]
    unverified: tuple[str, ...]
    """Names of prices that were written down from memory, and not looked up."""


def load_prices(path: Path = FILE, *, has_free_tier: bool = False) -> Prices:
    """Read a file of prices, perhaps with the free units of each month, which an account has once for all functions.

    Raises:
        UsageError: The file cannot be read, or does not have the form of `prices.json`.
    """
    document = read_object(path, f"a file of prices, as {FILE} is")
    if document.get("currency") != "USD":
        raise UsageError(f"{path}: currency: expected USD, got {document.get('currency')!r}")
    prices = _section(document, "prices", path)
    usd = {name: _price(name, entry, path) for name, entry in prices.items()}
    known = json.loads(FILE.read_text())["prices"]  # which every file must have, except for the choice of machines
    missing = [name for name in known if not name.startswith("instance_") and name not in usd]
    if missing:
        raise UsageError(f"{path}: prices: expected all those of {FILE}, got none for {', '.join(missing)}")
    free = {
        name: _number(entry, "amount", f"{path}: free_each_month: {name}")
        for name, entry in _section(document, "free_each_month", path).items()
    }
    instances = tuple(
        _instance(name, entry, usd, path) for name, entry in _section(document, "instances", path).items()
    )
    for architecture in ("arm64", "x86_64"):
        if all(instance.architecture != architecture for instance in instances):
            raise UsageError(f"{path}: instances: expected one of {architecture}, got none")
    unverified = tuple(name for name, entry in prices.items() if entry.get("status") == "remembered")
    return Prices(_date(document, path), path, usd, free if has_free_tier else {}, instances, unverified)


def _section(document: Document, name: str, path: Path) -> Mapping[str, Document]:
    section = document.get(name)
    if not isinstance(section, dict) or not all(isinstance(entry, dict) for entry in section.values()):
        raise UsageError(f"{path}: {name}: expected an object of objects, as in {FILE}")
    return section


def _date(document: Document, path: Path) -> str:
    text = document.get("date")
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError as error:
        raise UsageError(f"{path}: date: expected YYYY-MM-DD, got {text!r}") from error


def _price(name: str, entry: Document, path: Path) -> float:
    where = f"{path}: prices: {name}"
    source = entry.get("source")
    if not isinstance(source, str) or not source:
        raise UsageError(f"{where}: source: expected the place where the price is published, got {source!r}")
    per = _number(entry, "per", where)
    if per == 0:
        raise UsageError(f"{where}: per: expected more than 0 units")
    return _number(entry, "usd", where) / per


def _instance(name: str, entry: Document, usd: Mapping[str, float], path: Path) -> InstanceType:
    where, price = f"{path}: instances: {name}", f"instance_{name}_hour"
    if price not in usd:
        raise UsageError(f"{where}: expected its price under the name {price} in prices, got none")
    vcpus, memory_mib = (int(_number(entry, field, where)) for field in ("vcpus", "memory_mib"))
    if vcpus < 1:
        raise UsageError(f"{where}: vcpus: expected 1 or more, got {vcpus}")
    return InstanceType(name, str(entry.get("architecture")), vcpus, memory_mib, usd[price])


def _number(entry: Document, field: str, where: str) -> float:
    """Return a field that must be a number of at least 0."""
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UsageError(f"{where}: {field}: expected a number of at least 0, got {value!r}")
    return float(value)
