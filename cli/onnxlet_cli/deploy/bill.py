"""The bill: what a deployment would cost in a month."""

from dataclasses import dataclass

from onnxlet_cli.cost.monthly import Estimate, estimate
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.package.target import Target

PLATFORMS = {"aws": "lambda", "gcp": "cloud-run"}


@dataclass(frozen=True)
class Traffic:
    """The expected traffic."""

    requests_per_month: int = 1_000_000
    milliseconds: float = 20
    """The duration of a warm request on one full CPU; `onnxlet bench warm` measures it."""


def expect(traffic: Traffic, target: Target, memory_mib: int, extras: Extras) -> Estimate:
    """Estimate the monthly cost of the HTTP function and of the extras that the deployment turns on."""
    return estimate(
        traffic.requests_per_month,
        milliseconds=traffic.milliseconds,
        memory_mib=memory_mib,
        architecture=target.arch,
        platform=PLATFORMS[target.cloud],
        extras=extras,
    )
