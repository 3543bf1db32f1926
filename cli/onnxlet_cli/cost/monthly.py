"""The estimate: the monthly cost of one function that is about to be deployed."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnxlet_cli.cost import offers
from onnxlet_cli.cost.compare import NEVER_INCLUDED
from onnxlet_cli.cost.offers import NO_EXTRAS, Extras
from onnxlet_cli.cost.prices import load_prices
from onnxlet_cli.cost.workload import DEFAULT_COLD_MILLISECONDS, DEFAULT_COLD_SHARE, Workload
from onnxlet_publishing.errors import UsageError

PLATFORMS = ("lambda", "cloud-run")


@dataclass(frozen=True)
class Estimate:
    """The monthly cost of a function."""

    monthly_usd: float
    parts_usd: Mapping[str, float]
    """The cost of each thing billed: requests, duration, init, provisioned, logs, metrics, and each extra."""
    idle_usd: float
    """The part that is billed even without requests."""
    assumptions: tuple[str, ...]
    """The assumptions behind the figure, a line for each."""


def estimate(
    requests_per_month: int,
    *,
    milliseconds: float,
    memory_mib: int = 1769,
    architecture: str = "arm64",
    platform: str = "lambda",
    cold_milliseconds: float = DEFAULT_COLD_MILLISECONDS,
    cold_share: float = DEFAULT_COLD_SHARE,
    extras: Extras = NO_EXTRAS,
    has_free_tier: bool = False,
) -> Estimate:
    """Return what a function costs a month at list prices; the free tier subtracts the cloud's free units.

    A warm request takes the milliseconds on one full vCPU (1,769 MiB on Lambda); less memory makes it longer. The cold
    share of the requests starts a process, whose init phase takes the cold milliseconds. The platform is `lambda`, on
    `arm64` or `x86_64`, or `cloud-run`, which has only the latter.

    Raises:
        UsageError: The platform or the architecture is unknown.
    """
    if platform not in PLATFORMS or architecture not in offers.ARCHITECTURES:
        raise UsageError(
            f"{platform} on {architecture}: expected one of {', '.join(PLATFORMS)} on one of "
            f"{', '.join(offers.ARCHITECTURES)}"
        )
    prices = load_prices(has_free_tier=has_free_tier)
    workload = Workload(milliseconds, "given", cold_milliseconds, cold_share)
    if platform == "lambda":
        offer = offers.on_lambda(workload, prices, architecture, memory_mib, extras)
    else:
        offer = offers.on_cloud_run(workload, prices, memory_mib, extras)
    assumptions = (
        f"{milliseconds:g} ms a request on a full vCPU, {offer.milliseconds:.3g} ms at {memory_mib} MiB",
        f"{cold_share:.3g} of the requests start a process, in {cold_milliseconds:g} ms that are billed",
        f"list prices of {prices.date}, the monthly free tier {'subtracted' if has_free_tier else 'not subtracted'}",
        f"without {'; '.join(NEVER_INCLUDED)}",
    )
    parts = offer.parts(requests_per_month)
    return Estimate(offer.monthly_usd(requests_per_month), parts, sum(offer.fixed.values()), assumptions)
