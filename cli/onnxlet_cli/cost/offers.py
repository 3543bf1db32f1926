"""Offers: what each platform bills for a workload, as meters that count requests, time and log lines.

Source: the vendors' pricing pages, named in prices.json; "AWS Lambda standardizes billing for INIT Phase" (2025); Cloud
Run, "Pricing": instance time is rounded up to 100 ms.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnxlet_cli.cost.prices import InstanceType, Prices
from onnxlet_cli.cost.workload import Workload

ARCHITECTURES = ("arm64", "x86_64")

HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600

LOG_BYTES = 1_200
"""Log bytes for each request: the function's line with its metrics (some 800, measured), and the platform's lines."""
METRICS = 4
"""CloudWatch metrics that the function's line makes for one model; see `onnxlet.observe.log`."""

UTILISATION = 0.5
"""Average utilisation of an instance: traffic has peaks."""

CLOUD_RUN_STEP_MS = 100
CLOUD_RUN_VCPUS = ((4096, 1), (8192, 2), (16384, 4), (24576, 6), (32768, 8))
"""The smallest number of vCPUs of a Cloud Run instance, by its memory in MiB. Less than one vCPU, which Cloud Run also
offers, would serve one request at a time in a slower sandbox."""

SAGEMAKER_STEP_MIB = 1024
SAGEMAKER_MOST_MIB = 6144


POLLERS = 5
POLL_S = 20
"""Lambda polls a queue on at least five connections, each again after 20 seconds without a message.

Source: AWS Compute Blog, "Introducing maximum concurrency of AWS Lambda functions when using Amazon SQS as an event
source"; AWS Lambda developer guide, "Understanding polling and batching behavior for Amazon SQS event source mappings".
"""


@dataclass(frozen=True)
class Extras:
    """Parts of a deployment in addition to the function; most are billed even without requests."""

    provisioned: int = 0
    has_snapshots: bool = False
    """Whether the function starts from a snapshot (SnapStart), whose published version is billed."""
    has_api: bool = False
    """Whether requests come through a REST API of API Gateway."""
    queues: int = 0
    """Queues that Lambda polls."""
    alarms: int = 0
    dashboards: int = 0
    min_instances: int = 0


NO_EXTRAS = Extras()


@dataclass(frozen=True)
class Meter:
    """A quantity that a platform counts and bills."""

    name: str
    per_request: float
    usd: float
    """Price of a unit."""
    allowance: str = ""
    """Name of the monthly allowance that pays for the first units; several meters may share one."""
    at_most: float = math.inf
    """Most units that are billed in a month."""


@dataclass(frozen=True)
class Offer:
    """A platform's function of one size, and what the platform bills for it."""

    platform: str
    architecture: str
    memory_mib: int
    milliseconds: float
    """Duration of a warm request."""
    meters: tuple[Meter, ...]
    fixed: Mapping[str, float] = field(default_factory=dict)
    """US dollars a month that are billed even without requests."""
    allowances: Mapping[str, float] = field(default_factory=dict)
    """Free units each month, by name."""

    @property
    def name(self) -> str:
        """The platform and its architecture."""
        return f"{self.platform} {self.architecture}"

    def parts(self, requests: float) -> dict[str, float]:
        """Return the cost of a month with this many requests, in US dollars, by meter."""
        left = dict(self.allowances)
        parts = dict(self.fixed)
        for meter in self.meters:
            units = min(requests * meter.per_request, meter.at_most)
            free = min(units, left.get(meter.allowance, 0.0))
            if free:
                left[meter.allowance] -= free
            parts[meter.name] = (units - free) * meter.usd
        return parts

    def monthly_usd(self, requests: float) -> float:
        """Return the cost of a month with this many requests, in US dollars."""
        return sum(self.parts(requests).values())

    @property
    def per_million_usd(self) -> float:
        """The cost of each further million requests."""
        return sum(1e6 * meter.per_request * meter.usd for meter in self.meters if math.isinf(meter.at_most))


@dataclass(frozen=True)
class AlwaysOn:
    """Instances that run all month, as many as the requests need."""

    type: InstanceType
    milliseconds: float
    """Duration of a request on one vCPU."""

    @property
    def name(self) -> str:
        """The type and its architecture."""
        return f"{self.type.name} {self.type.architecture}"

    @property
    def capacity(self) -> float:
        """Requests that one instance can serve in a month."""
        return self.type.vcpus * UTILISATION * SECONDS_PER_MONTH * 1000 / self.milliseconds

    @property
    def one_usd(self) -> float:
        """The monthly cost of one instance."""
        return self.type.usd_per_hour * HOURS_PER_MONTH

    def count(self, requests: float) -> int:
        """Return how many instances a month with this many requests needs."""
        return max(1, math.ceil(requests / self.capacity))

    def monthly_usd(self, requests: float) -> float:
        """Return the cost of a month with this many requests, in US dollars."""
        return self.count(requests) * self.one_usd


def all_offers(workload: Workload, prices: Prices, sizes_mib: Sequence[int], provisioned: int = 0) -> list[Offer]:
    """Return every serverless offer in every size that the platform has."""
    offers = [
        on_lambda(workload, prices, architecture, size, Extras(provisioned))
        for architecture in ARCHITECTURES
        for size in sizes_mib
    ]
    offers += [on_cloud_run(workload, prices, size) for size in sizes_mib if size <= CLOUD_RUN_VCPUS[-1][0]]
    rounded = {math.ceil(size / SAGEMAKER_STEP_MIB) * SAGEMAKER_STEP_MIB for size in sizes_mib}
    return offers + [on_sagemaker(workload, prices, size) for size in sorted(rounded) if size <= SAGEMAKER_MOST_MIB]


def always_on(workload: Workload, prices: Prices, architecture: str) -> AlwaysOn:
    """Return the instance to compare with an offer of the same architecture."""
    kind = next(instance for instance in prices.instances if instance.architecture == architecture)
    return AlwaysOn(kind, workload.milliseconds)


def on_lambda(
    workload: Workload, prices: Prices, architecture: str, memory_mib: int, extras: Extras = NO_EXTRAS
) -> Offer:
    """Return the offer of Lambda, which bills requests, and memory by time to the millisecond, including init.

    With provisioned environments, every request is assumed to find one, and the monthly allowance does not apply.
    With snapshots, a start is billed by memory instead of by init time.
    """
    gb, milliseconds = memory_mib / 1024, workload.milliseconds_at(memory_mib)
    seconds = math.ceil(milliseconds) / 1000
    price = f"lambda_{architecture}"
    fixed = _standing(prices, extras)
    if extras.provisioned:
        busy = [Meter("duration", gb * seconds, prices.usd[f"{price}_provisioned_duration_gb_second"])]
        ready = gb * SECONDS_PER_MONTH * prices.usd[f"{price}_provisioned_gb_second"]
        fixed = {"provisioned": extras.provisioned * ready, **fixed}
    else:
        usd = prices.usd[f"{price}_gb_second"]
        busy = [Meter("duration", gb * seconds, usd, "lambda_gb_second")]
        if extras.has_snapshots:
            busy.append(Meter("restores", gb * workload.cold_share, prices.usd["lambda_snapstart_restore_gb"]))
            cached = gb * SECONDS_PER_MONTH * prices.usd["lambda_snapstart_cache_gb_second"]
            fixed = {"snapshot": cached, **fixed}
        else:
            init_seconds = workload.cold_share * math.ceil(workload.cold_milliseconds) / 1000
            busy.append(Meter("init", gb * init_seconds, usd, "lambda_gb_second"))
    request = Meter("requests", 1, prices.usd["lambda_request"], "lambda_request")
    api = [Meter("API Gateway", 1, prices.usd["api_gateway_rest_request"])] if extras.has_api else []
    logs = Meter("logs", LOG_BYTES / 1e9, prices.usd["cloudwatch_logs_gb"], "cloudwatch_logs_gb")
    # A metric is billed for each hour with data.
    hourly = METRICS / HOURS_PER_MONTH
    metrics = Meter("metrics", hourly, prices.usd["cloudwatch_metric"], "cloudwatch_metric", METRICS)
    meters = (request, *busy, *api, logs, metrics)
    return Offer("Lambda", architecture, memory_mib, milliseconds, meters, fixed, prices.free)


def _standing(prices: Prices, extras: Extras) -> dict[str, float]:
    """Return what AWS bills for the extras even without requests."""
    polls = extras.queues * POLLERS * SECONDS_PER_MONTH / POLL_S
    units = {
        "queue polling": (polls, "sqs_request"),
        "alarms": (extras.alarms, "cloudwatch_alarm"),
        "dashboards": (extras.dashboards, "cloudwatch_dashboard"),
    }
    return {
        part: max(0.0, count - prices.free.get(name, 0.0)) * prices.usd[name]
        for part, (count, name) in units.items()
        if count
    }


def on_cloud_run(workload: Workload, prices: Prices, memory_mib: int, extras: Extras = NO_EXTRAS) -> Offer:
    """Return the offer of Cloud Run functions: vCPUs and memory while an instance starts or serves its one request."""
    vcpus = next(vcpus for most_mib, vcpus in CLOUD_RUN_VCPUS if memory_mib <= most_mib)
    gib, cpu_usd = memory_mib / 1024, prices.usd["cloud_run_vcpu_second"]
    seconds = _stepped(workload.milliseconds) / 1000
    init_seconds = workload.cold_share * _stepped(workload.cold_milliseconds) / 1000
    memory_usd = prices.usd["cloud_run_gib_second"]
    idle_usd = vcpus * prices.usd["cloud_run_idle_vcpu_second"] + gib * prices.usd["cloud_run_idle_gib_second"]
    fixed = {"minimum instances": extras.min_instances * SECONDS_PER_MONTH * idle_usd} if extras.min_instances else {}
    meters = (
        Meter("requests", 1, prices.usd["cloud_run_request"], "cloud_run_request"),
        Meter("duration", vcpus * seconds, cpu_usd, "cloud_run_vcpu_second"),
        Meter("init", vcpus * init_seconds, cpu_usd, "cloud_run_vcpu_second"),
        Meter("memory", gib * (seconds + init_seconds), memory_usd, "cloud_run_gib_second"),
        Meter("logs", LOG_BYTES / 1024**3, prices.usd["cloud_logging_gib"], "cloud_logging_gib"),
    )
    return Offer("Cloud Run", "x86_64", memory_mib, workload.milliseconds, meters, fixed, prices.free)


def on_sagemaker(workload: Workload, prices: Prices, memory_mib: int) -> Offer:
    """Return the offer of SageMaker Serverless Inference: memory by time to the millisecond; starts are not billed."""
    milliseconds = workload.milliseconds_at(memory_mib)
    usd = prices.usd["sagemaker_serverless_gb_second"]
    meters = (
        Meter("duration", memory_mib / 1024 * math.ceil(milliseconds) / 1000, usd),
        Meter("data", workload.payload_bytes / 1e9, prices.usd["sagemaker_serverless_data_gb"]),
        Meter("logs", LOG_BYTES / 1e9, prices.usd["cloudwatch_logs_gb"], "cloudwatch_logs_gb"),
    )
    return Offer("SageMaker", "x86_64", memory_mib, milliseconds, meters, allowances=prices.free)


def _stepped(milliseconds: float) -> float:
    return math.ceil(milliseconds / CLOUD_RUN_STEP_MS) * CLOUD_RUN_STEP_MS
