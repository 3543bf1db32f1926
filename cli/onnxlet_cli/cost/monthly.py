"""The estimate: what one function costs a month, for who is about to deploy it."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.cost import offers
from onnxlet_cli.cost.compare import NEVER_INCLUDED
from onnxlet_cli.cost.offers import NO_EXTRAS, Extras
from onnxlet_cli.cost.prices import load_prices
from onnxlet_cli.cost.workload import DEFAULT_COLD_MILLISECONDS, DEFAULT_COLD_SHARE, Workload

PLATFORMS = ("lambda", "cloud-run")


@dataclass(frozen=True)
class Estimate:
    """What a function costs a month."""

    monthly_usd: float
    parts_usd: Mapping[str, float]
    """By what is billed: requests, duration, init, provisioned, logs, metrics, and what each extra costs."""
    idle_usd: float
    """What of it is billed while nobody asks anything."""
    assumptions: tuple[str, ...]
    """What the figure rests on, a line each."""


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
    """What a function costs a month at list prices.

    Args:
        requests_per_month: The traffic.
        milliseconds: Of a warm request on one full vCPU (1,769 MiB of Lambda); it grows as the memory gets less.
        memory_mib: Of the function.
        architecture: `arm64` or `x86_64`; Cloud Run has the latter alone.
        platform: `lambda` or `cloud-run`.
        cold_milliseconds: Of the init phase.
        cold_share: Of the requests, how many start a process.
        extras: What the deployment turns on besides the function.
        has_free_tier: Whether what the cloud gives away each month is taken off.

    Raises:
        InvalidRequestError: an unknown platform or architecture.
    """
    if platform not in PLATFORMS or architecture not in offers.ARCHITECTURES:
        raise InvalidRequestError(
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
        f"list prices of {prices.date}, the monthly allowances {'taken off' if has_free_tier else 'left aside'}",
        f"without {'; '.join(NEVER_INCLUDED)}",
    )
    parts = offer.parts(requests_per_month)
    return Estimate(offer.monthly_usd(requests_per_month), parts, sum(offer.fixed.values()), assumptions)
