"""The comparison of offers at several numbers of requests, and the number above which an instance is cheaper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxlet_cli.cost import offers
from onnxlet_cli.cost.offers import AlwaysOn, Offer
from onnxlet_cli.cost.prices import Prices
from onnxlet_cli.cost.workload import Workload

MOST_INSTANCES = 100
"""Largest number of instances compared: if 100 full instances cost more than an offer, any number does."""

BISECTIONS = 60

NEVER_INCLUDED = (
    "storage, traffic that leaves the region, a load balancer or a firewall",
    "the registry's requests: a few for each cold start, at $0.40 a million",
    "discounts, taxes, support",
)

NOT_INCLUDED = (
    *NEVER_INCLUDED,
    "what a deployment adds: snapshots, an API Gateway, queues, alarms, minimum instances (`deploy --plan` shows it)",
)


@dataclass(frozen=True)
class Row:
    """One offer, with the instance that it is compared with."""

    offer: Offer
    instance: AlwaysOn
    """An instance of the same architecture."""
    break_even: float | None
    """Requests a month above which the instance costs no more; None if it always costs more."""


@dataclass(frozen=True)
class Comparison:
    """All offers for a workload."""

    workload: Workload
    prices: Prices
    requests: tuple[int, ...]
    """The numbers of requests a month that are shown."""
    rows: tuple[Row, ...]
    too_small_mib: tuple[int, ...]
    """Sizes that were left out because the process needs more memory."""

    @property
    def instances(self) -> list[AlwaysOn]:
        """An instance of each architecture."""
        return [offers.always_on(self.workload, self.prices, architecture) for architecture in offers.ARCHITECTURES]


def compare(
    workload: Workload, prices: Prices, requests: Sequence[int], sizes_mib: Sequence[int], provisioned: int = 0
) -> Comparison:
    """Return every offer in the sizes that the process fits into."""
    fitting = [size for size in sizes_mib if size >= workload.peak_mib]
    rows = []
    for offer in offers.all_offers(workload, prices, fitting, provisioned):
        instance = offers.always_on(workload, prices, offer.architecture)
        rows.append(Row(offer, instance, break_even(offer, instance)))
    too_small = tuple(size for size in sizes_mib if size not in fitting)
    return Comparison(workload, prices, tuple(requests), tuple(rows), too_small)


def break_even(offer: Offer, instance: AlwaysOn) -> float | None:
    """Return the requests a month above which instances cost no more than the offer; None if they always cost more."""
    for count in range(1, MOST_INSTANCES + 1):
        most, usd = count * instance.capacity, count * instance.one_usd
        if offer.monthly_usd(most) >= usd:
            return _first_reaching(offer, usd, most)
    return None


def cheapest(comparison: Comparison) -> dict[str, Offer]:
    """Return each platform's offer in the size whose further requests cost least."""
    cheapest_offers: dict[str, Offer] = {}
    for row in comparison.rows:
        cheaper = cheapest_offers.setdefault(row.offer.name, row.offer)
        if row.offer.per_million_usd < cheaper.per_million_usd:
            cheapest_offers[row.offer.name] = row.offer
    return cheapest_offers


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON document."""
    workload = comparison.workload
    return {
        "prices": {"date": comparison.prices.date, "remembered": list(comparison.prices.unverified)},
        "workload": {
            "source": workload.source,
            "milliseconds": workload.milliseconds,
            "cold_milliseconds": workload.cold_milliseconds,
            "cold_share": workload.cold_share,
            "payload_bytes": workload.payload_bytes or None,
            "peak_mib": workload.peak_mib or None,
        },
        "offers": [_offer_document(row, comparison.requests) for row in comparison.rows],
        "instances": [
            {
                "type": instance.type.name,
                "architecture": instance.type.architecture,
                "requests_each": instance.capacity,
                "monthly_usd": {str(count): instance.monthly_usd(count) for count in comparison.requests},
            }
            for instance in comparison.instances
        ],
        "not_included": list(NOT_INCLUDED),
    }


def _offer_document(row: Row, requests: Sequence[int]) -> dict[str, Any]:
    offer = row.offer
    return {
        "platform": offer.platform,
        "architecture": offer.architecture,
        "memory_mib": offer.memory_mib,
        "milliseconds": offer.milliseconds,
        "per_million_usd": offer.per_million_usd,
        "monthly_usd": {str(count): offer.monthly_usd(count) for count in requests},
        "parts_usd": {str(count): offer.parts(count) for count in requests},
        "break_even_requests": row.break_even,
        "break_even_with": row.instance.type.name,
    }


def _first_reaching(offer: Offer, usd: float, most: float) -> float:
    """Return the smallest number of requests, up to `most`, at which the offer costs `usd`."""
    low, high = 0.0, most
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if offer.monthly_usd(middle) >= usd else (middle, high)
    return high
