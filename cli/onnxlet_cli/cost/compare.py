"""The comparison: every offer at some traffics, and from which traffic on an instance that is always on costs less."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxlet_cli.cost import offers
from onnxlet_cli.cost.offers import AlwaysOn, Offer
from onnxlet_cli.cost.prices import Prices
from onnxlet_cli.cost.workload import Workload

MOST_INSTANCES = 100
"""That are tried: where a hundred full ones cost more than an offer, all do."""

BISECTIONS = 60

NEVER_INCLUDED = (
    "storage, data that leave the region, a load balancer or a firewall in front",
    "the registry's requests: a few for each cold start, at $0.40 a million",
    "discounts, taxes, support",
)
"""Of an estimate for one deployment."""

NOT_INCLUDED = (
    *NEVER_INCLUDED,
    "what a deployment adds: snapshots, an API Gateway, queues, alarms, minimum instances (`deploy --plan` shows it)",
)
"""Of the comparison."""


@dataclass(frozen=True)
class Row:
    """One offer."""

    offer: Offer
    instance: AlwaysOn
    """That it is compared with: one of its own architecture."""
    break_even: float | None
    """Requests a month from which on the instance costs no more; None where it never does."""


@dataclass(frozen=True)
class Comparison:
    """All offers for a workload."""

    workload: Workload
    prices: Prices
    requests: tuple[int, ...]
    """A month; the traffics that are shown."""
    rows: tuple[Row, ...]
    too_small_mib: tuple[int, ...]
    """Sizes that were left out: the process was seen to take more."""

    @property
    def instances(self) -> list[AlwaysOn]:
        """One of each architecture."""
        return [offers.always_on(self.workload, self.prices, each) for each in offers.ARCHITECTURES]


def compare(
    workload: Workload, prices: Prices, requests: Sequence[int], sizes_mib: Sequence[int], provisioned: int = 0
) -> Comparison:
    """Lay out every offer in the sizes that the process fits."""
    fitting = [size for size in sizes_mib if size >= workload.peak_mib]
    rows = []
    for offer in offers.all_offers(workload, prices, fitting, provisioned):
        instance = offers.always_on(workload, prices, offer.architecture)
        rows.append(Row(offer, instance, break_even(offer, instance)))
    too_small = tuple(size for size in sizes_mib if size not in fitting)
    return Comparison(workload, prices, tuple(requests), tuple(rows), too_small)


def break_even(offer: Offer, instance: AlwaysOn) -> float | None:
    """Requests a month from which on the instances cost no more than the offer; None where they always cost more."""
    for count in range(1, MOST_INSTANCES + 1):
        most, usd = count * instance.capacity, count * instance.one_usd
        if offer.monthly_usd(most) >= usd:
            return _first_reaching(offer, usd, most)
    return None


def cheapest(comparison: Comparison) -> dict[str, Offer]:
    """Of each platform the size whose further requests cost least."""
    found: dict[str, Offer] = {}
    for row in comparison.rows:
        label = f"{row.offer.platform} {row.offer.architecture}"
        if label not in found or row.offer.per_million_usd < found[label].per_million_usd:
            found[label] = row.offer
    return found


def to_document(comparison: Comparison) -> dict[str, Any]:
    """All of it, for machines."""
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
                "monthly_usd": {str(each): instance.monthly_usd(each) for each in comparison.requests},
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
        "monthly_usd": {str(each): offer.monthly_usd(each) for each in requests},
        "parts_usd": {str(each): offer.parts(each) for each in requests},
        "break_even_requests": row.break_even,
        "break_even_with": row.instance.type.name,
    }


def _first_reaching(offer: Offer, usd: float, most: float) -> float:
    """The least number of requests, at most `most`, at which the offer costs so much."""
    low, high = 0.0, most
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if offer.monthly_usd(middle) >= usd else (middle, high)
    return high
