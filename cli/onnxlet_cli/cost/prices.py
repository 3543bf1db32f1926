"""The prices: one dated file of list prices, each with its source and how it is known."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from onnxlet.errors import InvalidRequestError

FILE = Path(__file__).with_name("prices.json")

Document = Mapping[str, Any]


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
    path: Path
    """The file."""
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

    Raises:
        InvalidRequestError: The file cannot be read, or is not one of prices as `prices.json` is.
    """
    document = _read(path)
    prices = _section(document, "prices", path)
    usd = {name: _price(name, entry, path) for name, entry in prices.items()}
    missing = [name for name in _known_names() if name not in usd]
    if missing:
        raise InvalidRequestError(f"{path}: prices: expected all that {FILE} has, got none for {', '.join(missing)}")
    free = {
        name: _number(entry, "amount", f"{path}: free_each_month: {name}")
        for name, entry in _section(document, "free_each_month", path).items()
    }
    instances = tuple(
        _instance(name, entry, usd, path) for name, entry in _section(document, "instances", path).items()
    )
    for architecture in ("arm64", "x86_64"):
        if all(instance.architecture != architecture for instance in instances):
            raise InvalidRequestError(f"{path}: instances: expected one of {architecture}, got none")
    unverified = tuple(name for name, entry in prices.items() if entry.get("status") == "remembered")
    return Prices(_date(document, path), path, usd, free if has_free_tier else {}, instances, unverified)


@cache
def _known_names() -> tuple[str, ...]:
    """The prices that every file must have: those of our own, but for its machines, which a file chooses itself."""
    return tuple(name for name in json.loads(FILE.read_text())["prices"] if not name.startswith("instance_"))


def _read(path: Path) -> Document:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequestError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{path}: expected a file of prices, as {FILE} is, got: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequestError(f"{path}: expected a JSON object, as {FILE} is")
    if document.get("currency") != "USD":
        raise InvalidRequestError(f"{path}: currency: expected USD, got {document.get('currency')!r}")
    return document


def _section(document: Document, name: str, path: Path) -> Mapping[str, Document]:
    found = document.get(name)
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise InvalidRequestError(f"{path}: {name}: expected an object of objects, as {FILE} has")
    return found


def _date(document: Document, path: Path) -> str:
    text = document.get("date")
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError as error:
        raise InvalidRequestError(f"{path}: date: expected YYYY-MM-DD, got {text!r}") from error


def _price(name: str, entry: Document, path: Path) -> float:
    """Return a price for one unit."""
    where = f"{path}: prices: {name}"
    source = entry.get("source")
    if not isinstance(source, str) or not source:
        raise InvalidRequestError(f"{where}: source: expected where the price is published, got {source!r}")
    per = _number(entry, "per", where)
    if per == 0:
        raise InvalidRequestError(f"{where}: per: expected more than 0 units")
    return _number(entry, "usd", where) / per


def _instance(name: str, entry: Document, usd: Mapping[str, float], path: Path) -> InstanceType:
    where, price = f"{path}: instances: {name}", f"instance_{name}_hour"
    if price not in usd:
        raise InvalidRequestError(f"{where}: expected its price among the prices, as {price}")
    vcpus, memory_mib = (int(_number(entry, field, where)) for field in ("vcpus", "memory_mib"))
    if vcpus < 1:
        raise InvalidRequestError(f"{where}: vcpus: expected 1 or more, got {vcpus}")
    return InstanceType(name, str(entry.get("architecture")), vcpus, memory_mib, usd[price])


def _number(entry: Document, field: str, where: str) -> float:
    """Return a field that must be a number from 0 on."""
    found = entry.get(field)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
        raise InvalidRequestError(f"{where}: {field}: expected a number from 0 on, got {found!r}")
    return float(found)
