"""What the buckets' lifecycle rules do in time to everything that is written: nothing that is needed goes early, and
nothing stays that was promised to go.

Source: Amazon S3 user guide, "Expiring objects", "Lifecycle configuration elements" (days are rounded up to the next
midnight; an expiration adds a delete marker; the shorter of two expirations counts); Cloud Storage, "Object Lifecycle
Management" (all conditions of a rule must hold; of a version the age counts from its creation; deleting the live
version in a bucket with versions makes it noncurrent), "Soft delete".
"""

import ast
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from onnxlet.access import quota
from onnxlet.contract import layout
from onnxlet.observe import capture
from onnxlet.storage.urls import split
from onnxlet.web import spill
from onnxlet_cli.commands.drift import drift
from tests.infra import template
from tests.infra.provider import TERRAFORM, prepare, serving
from tests.infra.template import Stack

FUNCTIONS = Path(layout.__file__).parents[1]

LAST_DAY = 1500
"""Of a simulation: what is there then is taken to stay."""

NOON = 0.5
"""When an object is made, in days; a quota's block is made at midnight."""

LOOK_BACK_DAYS: int = inspect.signature(drift).parameters["since"].default

SHA256 = "ab" * 32

REGISTRY = {
    "manifests": layout.version_key("digits", 1),
    "aliases": layout.alias_key("digits", layout.LIVE),
    "blobs": layout.blob_key(SHA256),
    "API keys": layout.API_KEYS_DOCUMENT,
    "runtimes of browsers": layout.edge_key(next(iter(layout.EDGE_FILES))),
}
"""The keys of a registry, one of each kind."""

SPILLED, QUOTA = f"{spill.PREFIX}/0123", f"{quota.PREFIX}/key/2026-01-01/7"
RESULTS = tuple(f"{prefix}/a.png.digits-1.{'0' * 16}.json" for prefix in ("in", spill.PREFIX, quota.PREFIX))
"""Results of objects, two of which lie in folders that are called like those of what goes after a day."""
CAPTURED = f"{capture.prefix('digits', 1, date(2026, 1, 1))}/0123.json"

WRITERS = {"capture", "quota", "registry", "results", "spill", "summary"}
"""The modules of the functions and publishers that write objects; each has its keys above or below."""


@dataclass
class Version:
    """A version of an object, or a delete marker."""

    created: float
    noncurrent_since: float | None = None
    is_marker: bool = False


def due(since: float, days: float) -> int:
    """The midnight at which S3 acts that many days later."""
    return math.ceil(since + days)


def last_days_on_s3(rules: Sequence[Mapping[str, Any]], versions: list[Version]) -> tuple[float, float]:
    """For how many days there are bytes of an object, and anything of it at all."""
    bytes_until = name_until = math.inf
    for midnight in range(1, LAST_DAY):
        for rule in rules:
            _apply_on_s3(rule, versions, midnight)
        if bytes_until == math.inf and all(version.is_marker for version in versions):
            bytes_until = midnight
        if not versions:
            return bytes_until, midnight
    return bytes_until, name_until


def _apply_on_s3(rule: Mapping[str, Any], versions: list[Version], midnight: int) -> None:
    days, noncurrent = rule.get("ExpirationInDays"), rule.get("NoncurrentVersionExpiration")
    for version in [each for each in versions if each.noncurrent_since is not None]:
        if noncurrent and midnight >= due(version.noncurrent_since or 0, float(noncurrent["NoncurrentDays"])):
            versions.remove(version)
    for version in [each for each in versions if each.noncurrent_since is None]:
        is_old = days is not None and midnight >= due(version.created, float(days))
        if not version.is_marker and is_old:
            version.noncurrent_since = midnight
            versions.append(Version(midnight, is_marker=True))
        elif version.is_marker and len(versions) == 1 and (is_old or rule.get("ExpiredObjectDeleteMarker")):
            versions.remove(version)


def last_day_on_gcs(bucket: Mapping[str, Any], key: str, versions: list[Version]) -> float:
    """For how many days there are bytes of an object, those that can be restored among them."""
    is_versioned = bucket["versioning"][0]["enabled"]
    soft_seconds = (
        bucket["soft_delete_policy"][0]["retention_duration_seconds"] if bucket["soft_delete_policy"] else None
    )
    soft_days = (604_800 if soft_seconds is None else soft_seconds) / 86_400
    for day in range(1, LAST_DAY):
        for version in list(versions):
            newer = sum(each.created > version.created for each in versions)
            if not any(_holds(rule, key, version, newer, day) for rule in bucket["lifecycle_rule"]):
                continue
            if is_versioned and version.noncurrent_since is None:
                version.noncurrent_since = day
            else:
                versions.remove(version)
        if not versions:
            return float(day + soft_days)
    return math.inf


def _holds(rule: Mapping[str, Any], key: str, version: Version, newer: int, day: float) -> bool:
    """Whether all conditions of a rule that deletes hold for a version."""
    if rule["action"][0]["type"] != "Delete":
        return False
    (condition,) = rule["condition"]
    is_live = version.noncurrent_since is None
    states = {None: True, "ANY": True, "LIVE": is_live, "ARCHIVED": not is_live}
    checks: dict[str, Callable[[Any], bool]] = {
        "age": lambda days: day - version.created >= days,
        "days_since_noncurrent_time": lambda days: not is_live and day - (version.noncurrent_since or 0) >= days,
        "num_newer_versions": lambda count: newer >= count,
        "matches_prefix": lambda prefixes: key.startswith(tuple(prefixes)),
        "with_state": lambda state: states[state],
    }
    given = {name: value for name, value in condition.items() if value is not None}
    assert given.keys() <= checks.keys(), "a condition that is not simulated"
    return all(checks[name](value) for name, value in given.items())


class Aws:
    """The buckets of template.yaml."""

    objects = ("ObjectFunction", "MapFunction")

    def __init__(self, days: int) -> None:
        self.stack: Stack = template.translate(KeepDays=str(days))

    def results(self, function: str) -> str:
        """The URL of a function's results."""
        variables = self.stack.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
        return str(variables["ONNXLET_RESULTS"])

    def place(self, function: str, key: str) -> tuple[str, str]:
        """The bucket and the whole key of something under a function's results."""
        _, bucket, prefix = split(self.results(function).replace("<", "").replace(">", ""))
        return bucket, f"{prefix}/{key}"

    def places(self) -> dict[str, tuple[str, str]]:
        """Where inputs and results are: those of single objects, of batches, and what sums a batch up."""
        queue = self.stack.resources["Inputs"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"][0]
        arrives = queue["Filter"]["S3Key"]["Rules"][0]["Value"]
        results = {f"{name}: {key}": self.place(name, key) for name in self.objects for key in RESULTS}
        inputs = {name: ("Inputs", f"{name}a.png") for name in (arrives, "batch/", "manifests/")}
        return {**results, **inputs, "summaries": self.place("SummaryFunction", "run/summary.json")}

    def registry(self, key: str) -> tuple[str, str]:
        """The bucket and the whole key of something in the registry."""
        variables = self.stack.of_type("AWS::Lambda::Function")["HttpFunction"]["Environment"]["Variables"]
        _, bucket, prefix = split(variables["ONNXLET_REGISTRY"].replace("<", "").replace(">", ""))
        return bucket, f"{prefix}/{key}"

    def last_days(self, place: tuple[str, str], *versions: Version) -> tuple[float, float]:
        """For how many days there are bytes of an object, and its name."""
        bucket, key = place
        configuration = self.stack.resources[bucket]["Properties"]["LifecycleConfiguration"]
        rules = [rule for rule in configuration["Rules"] if rule["Status"] == "Enabled"]
        return last_days_on_s3([rule for rule in rules if key.startswith(rule.get("Prefix", ""))], list(versions))

    def waiting_days(self) -> float:
        """How long an event may wait, and then as a dead letter."""
        queues = self.stack.of_type("AWS::SQS::Queue").values()
        return sum(int(queue["MessageRetentionPeriod"]) for queue in queues) / 86_400


class Gcp:
    """The buckets of infra/gcp."""

    objects = ("messages", "objects[0]")

    def __init__(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        self.found = found

    def results(self, function: str) -> str:
        (service,) = self.found[f"google_cloudfunctions2_function.{function}"]["after"]["service_config"]
        return str(service["environment_variables"]["ONNXLET_RESULTS"])

    def place(self, function: str, key: str) -> tuple[str, str]:
        _, bucket, prefix = split(self.results({"HttpFunction": "http"}.get(function, function)))
        return bucket, f"{prefix}/{key}"

    def places(self) -> dict[str, tuple[str, str]]:
        inputs = {"inputs": ("my-project-onnxlet-inputs", "a.png")}
        return {**inputs, **{f"{name}: {key}": self.place(name, key) for name in self.objects for key in RESULTS}}

    def registry(self, key: str) -> tuple[str, str]:
        (service,) = self.found["google_cloudfunctions2_function.http"]["after"]["service_config"]
        _, bucket, prefix = split(service["environment_variables"]["ONNXLET_REGISTRY"])
        return bucket, f"{prefix}/{key}"

    def buckets(self) -> dict[str, Mapping[str, Any]]:
        """The buckets by their names."""
        changes = [change["after"] for name, change in self.found.items() if name.startswith("google_storage_bucket.")]
        return {after["name"]: after for after in changes}

    def last_days(self, place: tuple[str, str], *versions: Version) -> tuple[float, float]:
        found = last_day_on_gcs(self.buckets()[place[0]], place[1], list(versions))
        return found, found

    def waiting_days(self) -> float:
        names = ("google_pubsub_subscription.messages", "google_pubsub_subscription.dead_letters")
        seconds = [self.found[name]["after"]["message_retention_duration"].removesuffix("s") for name in names]
        return sum(map(int, seconds)) / 86_400


Cloud = Aws | Gcp


@pytest.fixture(scope="module")
def open_cloud(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Gives a cloud's buckets where inputs and results are kept for so many days, 0 for ever."""

    @functools.cache
    def find(name: str, days: int) -> Cloud:
        if name == "aws":
            return Aws(days)
        if TERRAFORM is None:
            pytest.skip("terraform is not on this machine")
        with serving() as environment:
            deployment = prepare(tmp_path_factory.mktemp("gcp"), environment)
            variables = {"input_days": days, "result_days": days} if days else {}
            return Gcp(deployment.changes(object_events="eventarc", training=True, **variables))

    return find


@pytest.fixture(params=["aws", "gcp"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_module_that_writes_is_among_those_whose_keys_are_tried() -> None:
    """`store` only passes on what these ask it to write."""
    found = set()
    for path in FUNCTIONS.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if any(isinstance(call, ast.Attribute) and call.attr == "put_if_absent" for call in calls):
            found.add(path.stem)
    assert found - {"store"} == WRITERS
    assert {key.partition("/")[0] for key in REGISTRY.values()} == set(layout.FOLDERS)


@pytest.mark.parametrize("kind", REGISTRY)
@pytest.mark.parametrize("days", [0, 1])
def test_a_registry_s_objects_never_go(open_cloud: Any, name: str, kind: str, days: int) -> None:
    cloud = open_cloud(name, days)
    assert cloud.last_days(cloud.registry(REGISTRY[kind]), Version(NOON))[0] == math.inf


def test_what_was_replaced_or_deleted_in_a_registry_can_be_brought_back_for_a_month_and_then_goes(
    open_cloud: Any, name: str
) -> None:
    cloud = open_cloud(name, 0)
    place = cloud.registry(REGISTRY["aliases"])
    found, _ = cloud.last_days(place, Version(NOON, noncurrent_since=5.0))
    assert 35 <= found <= 400


@pytest.mark.parametrize("days", [0, 1, 20, 400])
def test_a_response_outlives_its_url_and_a_quota_its_day_and_both_are_gone_three_days_later(
    open_cloud: Any, name: str, days: int
) -> None:
    cloud = open_cloud(name, days)
    lifetime = spill.LIFETIME_S / timedelta(days=1).total_seconds()
    for key, created, needed in ((SPILLED, NOON, NOON + lifetime), (QUOTA, 0.0, 1.0)):
        found, marked = cloud.last_days(cloud.place("HttpFunction", key), Version(created))
        assert needed <= found <= created + 3, key
        assert marked <= created + 4


@pytest.mark.parametrize("days", [0, 7, 20, 400])
def test_captured_samples_outlive_the_look_back_of_drift_and_go_with_the_results(
    open_cloud: Any, name: str, days: int
) -> None:
    cloud = open_cloud(name, days)
    writers = ("HttpFunction", *cloud.objects)
    for writer in writers:
        found, _ = cloud.last_days(cloud.place(writer, CAPTURED), Version(NOON))
        assert found >= NOON + LOOK_BACK_DAYS, writer
        assert found == math.inf if not days else found <= NOON + days + 2


@pytest.mark.parametrize("days", [0, 1, 20, 400])
def test_inputs_and_results_stay_as_long_as_was_said_and_no_longer(open_cloud: Any, name: str, days: int) -> None:
    cloud = open_cloud(name, days)
    for kind, place in cloud.places().items():
        found, marked = cloud.last_days(place, Version(NOON))
        if not days:
            assert found == math.inf, kind
        else:
            assert NOON + days <= found <= NOON + days + 2, kind
            assert marked <= NOON + days + 3, kind


@pytest.mark.parametrize("days", [1, 20, 400])
def test_a_version_that_was_replaced_goes_no_later_than_it_would_have_gone(
    open_cloud: Any, name: str, days: int
) -> None:
    cloud = open_cloud(name, days)
    for kind, place in cloud.places().items():
        found, _ = cloud.last_days(place, Version(NOON, noncurrent_since=NOON + 0.1))
        assert found <= NOON + days + 2, kind


@pytest.mark.parametrize("days", [1, 20, 400])
def test_what_a_person_deletes_goes_no_later_either_and_leaves_no_name(open_cloud: Any, name: str, days: int) -> None:
    cloud = open_cloud(name, days)
    for kind, place in cloud.places().items():
        versions = [Version(NOON, noncurrent_since=NOON + 0.1)]
        versions += [Version(NOON + 0.1, is_marker=True)] if name == "aws" else []
        _, marked = cloud.last_days(place, *versions)
        assert marked <= NOON + days + 3, kind


def test_a_dead_letter_can_be_answered_though_its_object_was_replaced(open_cloud: Any, name: str) -> None:
    cloud = open_cloud(name, 0)
    found, _ = cloud.last_days(cloud.places()["in/" if name == "aws" else "inputs"], Version(0.0, noncurrent_since=0.0))
    assert cloud.waiting_days() <= found < math.inf


def test_nothing_that_is_deleted_for_good_is_kept_and_billed_for_another_week_but_models(open_cloud: Any) -> None:
    kept = {}
    for bucket, after in open_cloud("gcp", 0).buckets().items():
        policies = after["soft_delete_policy"] or [{"retention_duration_seconds": None}]
        kept[bucket.removeprefix("my-project-onnxlet-")] = policies[0]["retention_duration_seconds"]
    assert kept == {"registry": None, "inputs": 0, "results": 0, "source": 0, "training": 0}
