"""What is read of a deployment that was made before its state told its settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.deploy.gcp.former_settings import READERS
from onnxlet_cli.deploy.gcp.settings import OPTIONS, declared, recall
from onnxlet_cli.deploy.gcp.state import BUCKET, State
from onnxlet_cli.errors import DeploymentError
from tests.helpers import keys

GCP = Path(__file__).parents[4] / "infra/gcp"
KEY = "projects/p/locations/r/keyRings/k/cryptoKeys/c"
CHANNEL = "projects/p/notificationChannels/1"

DEFAULTS: dict[str, Any] = {
    "access": "open",
    "alert_email": None,
    "alert_error_ratio": 0.05,
    "alert_oldest_message_s": 900,
    "alert_p95_ms": 1000,
    "alert_p99_ms": 5000,
    "allow_unauthenticated": False,
    "base_path": "",
    "cors_origins": [],
    "capture_inputs": False,
    "capture_share": 0,
    "concurrency": None,
    "cpu": None,
    "delete_data": False,
    "edge": False,
    "explain_runs": 2000,
    "generate_length": 1024,
    "http_inputs": [],
    "ingress": "ALLOW_ALL",
    "input_days": None,
    "input_prefix": "",
    "invokers": [],
    "kms_key": None,
    "labels": {},
    "max_delivery_attempts": 20,
    "max_event_instances": 10,
    "max_instances": 20,
    "memory_mib": 1024,
    "min_instances": 0,
    "model": "digits",
    "notification_channels": [],
    "object_events": "pubsub",
    "public_keys": [],
    "refresh_s": 60,
    "result_days": None,
    "runtime": "python313",
    "timeout_s": 60,
    "training": False,
    "variant": None,
    "vpc_connector": None,
    "vpc_egress": "PRIVATE_RANGES_ONLY",
    **dict.fromkeys(("input_bucket", "registry_bucket", "results_bucket", "vpc_network", "vpc_subnetwork")),
}
"""What infra/gcp had for its defaults then, with a model; one CPU is None, which means the same now."""

SET: dict[str, Any] = {
    "access": "keys",
    "alert_email": "ada@example.com",
    "alert_error_ratio": 0.25,
    "alert_oldest_message_s": 120,
    "alert_p95_ms": 250,
    "alert_p99_ms": 2500,
    "allow_unauthenticated": True,
    "base_path": "/ml",
    "cors_origins": ["https://app.example.com", "http://localhost:3000"],
    "capture_inputs": True,
    "capture_share": 0.125,
    "concurrency": 3,
    "cpu": 2,
    "delete_data": True,
    "edge": True,
    "explain_runs": 0,
    "generate_length": 64,
    "http_inputs": ["photos/", "scans/2026/"],
    "ingress": "ALLOW_INTERNAL_AND_GCLB",
    "input_days": 30,
    "input_prefix": "in box/",
    "invokers": ["user:ada@example.com", "group:all@example.com"],
    "kms_key": KEY,
    "labels": {"team": "a"},
    "max_delivery_attempts": 7,
    "max_event_instances": 4,
    "max_instances": 5,
    "memory_mib": 2048,
    "min_instances": 1,
    "model": "cats",
    "notification_channels": [CHANNEL],
    "object_events": "eventarc",
    "public_keys": [keys.text(1), keys.text(2)],
    "refresh_s": 0,
    "result_days": 60,
    "runtime": "python312",
    "timeout_s": 90,
    "training": True,
    "variant": "int8",
    "vpc_connector": "projects/P/locations/R/connectors/C",
    "vpc_egress": "ALL_TRAFFIC",
    **dict.fromkeys(("input_bucket", "registry_bucket", "results_bucket", "vpc_network", "vpc_subnetwork")),
}


def deployed(settings: dict[str, Any]) -> State:
    """The state of a deployment with these settings, as Google's provider 6.50 keeps what infra/gcp asked it for."""
    one = settings
    environment = {
        "ONNXLET_REGISTRY": "gs://p-shop-registry/registry",
        "ONNXLET_RESULTS": "gs://p-shop-results/answers",
        "ONNXLET_MODEL": one["model"],
        "ONNXLET_VARIANT": one["variant"],
        "ONNXLET_PUBLIC_KEYS": ",".join(one["public_keys"]),
        "ONNXLET_REFRESH_S": str(one["refresh_s"]),
        "ONNXLET_CAPTURE": str(one["capture_share"]),
        "ONNXLET_CAPTURE_INPUTS": "1" if one["capture_inputs"] else None,
        "ONNXLET_ACCESS": None if one["access"] == "open" else one["access"],
        "ONNXLET_BASE_PATH": one["base_path"],
        "ONNXLET_CORS_ORIGINS": ",".join(one["cors_origins"]),
        "ONNXLET_EDGE": "1" if one["edge"] else None,
        "ONNXLET_EXPLAIN_RUNS": str(one["explain_runs"]),
        "ONNXLET_GENERATE_LENGTH": str(one["generate_length"]),
        "ONNXLET_INPUTS": ",".join(f"gs://p-shop-inputs/{prefix}" for prefix in one["http_inputs"]),
    }
    service = {
        "environment_variables": {name: value for name, value in environment.items() if value},
        "available_memory": f"{one['memory_mib']}Mi",
        "available_cpu": str(one["cpu"] or 1),
        "max_instance_request_concurrency": one["concurrency"] or 4,
        "min_instance_count": one["min_instances"],
        "max_instance_count": one["max_instances"],
        "timeout_seconds": one["timeout_s"],
        "ingress_settings": one["ingress"],
        "vpc_connector": one["vpc_connector"] or "",
        "vpc_connector_egress_settings": one["vpc_egress"] if one["vpc_connector"] else "",
    }
    function = {
        "build_config": [{"runtime": one["runtime"]}],
        "service_config": [service],
        "kms_key_name": one["kms_key"] or "",
        "labels": one["labels"],
    }
    messages = {**function, "service_config": [{**service, "max_instance_count": one["max_event_instances"]}]}
    encryption = [{"default_kms_key_name": one["kms_key"]}] if one["kms_key"] else []
    bucket = {"force_destroy": one["delete_data"], "encryption": encryption}
    own = "projects/p/notificationChannels/own"
    channels = one["notification_channels"] + ([own] if one["alert_email"] else [])
    found: dict[str, dict[str, Any]] = {
        "google_cloudfunctions2_function.http": function,
        "google_cloudfunctions2_function.messages": messages,
        "google_storage_bucket.registry": {**bucket, "lifecycle_rule": [rule(days_since_noncurrent_time=30)]},
        "google_storage_bucket.inputs": {
            **bucket,
            "lifecycle_rule": [rule(days_since_noncurrent_time=7), *rules(one["input_days"])],
        },
        "google_storage_bucket.results": {
            **bucket,
            "lifecycle_rule": [rule(1, ["answers/"]), *rules(one["result_days"], ["results/"])],
        },
        "google_pubsub_subscription.messages": {
            "dead_letter_policy": [{"max_delivery_attempts": one["max_delivery_attempts"]}]
        },
        "google_monitoring_alert_policy.errors": {
            "notification_channels": channels,
            "conditions": thresholds(one["alert_error_ratio"]),
        },
        "google_monitoring_alert_policy.latency": {"conditions": thresholds(one["alert_p95_ms"], one["alert_p99_ms"])},
        "google_monitoring_alert_policy.waiting": {"conditions": thresholds(one["alert_oldest_message_s"])},
    }
    for member in one["invokers"]:
        found[f'google_cloud_run_v2_service_iam_member.invokers["{member}"]'] = {"member": member}
    if one["allow_unauthenticated"]:
        found["google_cloud_run_v2_service_iam_member.everybody[0]"] = {"member": "allUsers"}
    if one["alert_email"]:
        channel = {"id": own, "labels": {"email_address": one["alert_email"]}}
        found["google_monitoring_notification_channel.email[0]"] = channel
    if one["object_events"] == "eventarc":
        found["google_cloudfunctions2_function.objects[0]"] = function
    if one["object_events"] == "pubsub" or one["input_prefix"]:
        found["google_storage_notification.inputs[0]"] = {"object_name_prefix": one["input_prefix"]}
    if one["training"]:
        found["google_service_account.training[0]"] = {}
    return to_state(found)


def to_state(found: dict[str, dict[str, Any]]) -> State:
    items = {name: {"address": name, "type": name.split(".")[0], "values": values} for name, values in found.items()}
    return State({"http_url": "https://h"}, json.loads(json.dumps(items)))


def rule(age: int = 0, prefixes: list[str] | None = None, days_since_noncurrent_time: int = 0) -> dict[str, Any]:
    condition = {
        "age": age,
        "days_since_noncurrent_time": days_since_noncurrent_time,
        "matches_prefix": prefixes or [],
        "with_state": "ANY",
    }
    return {"condition": [condition], "action": [{"type": "Delete", "storage_class": ""}]}


def rules(age: int | None, prefixes: list[str] | None = None) -> list[dict[str, Any]]:
    return [] if age is None else [rule(age, prefixes)]


def thresholds(*values: float) -> list[dict[str, Any]]:
    return [{"condition_threshold": [{"threshold_value": value}]} for value in values]


def test_every_setting_of_then_is_read() -> None:
    assert set(READERS) == set(DEFAULTS) == set(SET)
    assert set(READERS) == declared(GCP) - set(OPTIONS)


@pytest.mark.parametrize("settings", [DEFAULTS, SET], ids=["defaults", "all set"])
def test_the_settings_of_a_former_deployment_are_read_from_what_it_made(settings: dict[str, Any]) -> None:
    assert recall(deployed(settings), {}, declared(GCP)) == settings


def test_existing_buckets_and_a_network_are_read_too() -> None:
    """As they are left where a removal failed before it came to the functions."""
    state = deployed(DEFAULTS)
    resources = {name: dict(item) for name, item in state.resources.items() if not name.startswith(BUCKET)}
    service = resources["google_cloudfunctions2_function.http"]["values"]["service_config"][0]
    service["environment_variables"] |= {"ONNXLET_REGISTRY": "gs://ours/registry", "ONNXLET_RESULTS": "gs://r/answers"}
    service["direct_vpc_network_interface"] = [{"network": "net", "subnetwork": "sub", "tags": []}]
    service["direct_vpc_egress"] = "VPC_EGRESS_ALL_TRAFFIC"
    resources["google_storage_notification.inputs[0]"]["values"]["bucket"] = "photos"
    named = {"delete_data": "", "input_days": "", "result_days": ""}
    found = recall(State({}, resources), named, declared(GCP))
    names = ("registry_bucket", "results_bucket", "input_bucket", "vpc_network", "vpc_subnetwork", "vpc_egress")
    assert [found[name] for name in names] == ["ours", "r", "photos", "net", "sub", "ALL_TRAFFIC"]


def test_what_is_named_need_not_be_known() -> None:
    state = deployed(SET)
    del state.resources["google_monitoring_alert_policy.latency"]  # type: ignore[attr-defined]
    with pytest.raises(DeploymentError, match=r"default with --set alert_p95_ms= --set alert_p99_ms=$"):
        recall(state, {}, declared(GCP))
    named = {"alert_p95_ms": "", "alert_p99_ms": "3000"}
    found = recall(state, named, declared(GCP))
    assert found == {name: value for name, value in SET.items() if name not in named}


def test_of_a_deployment_that_is_not_complete_nothing_is_guessed() -> None:
    """A function that was never made says neither that everybody may call it nor that nobody may."""
    state = deployed(SET)
    del state.resources["google_cloudfunctions2_function.http"]  # type: ignore[attr-defined]
    with pytest.raises(DeploymentError) as error:
        recall(state, {}, declared(GCP))
    for name in ("access", "public_keys", "invokers", "allow_unauthenticated", "ingress", "kms_key", "edge"):
        assert f"--set {name}=" in str(error.value)


def test_the_key_of_what_is_left_after_a_removal_stays() -> None:
    bucket = {"name": "p-shop-registry", "encryption": [{"default_kms_key_name": KEY}]}
    left = to_state({"google_storage_bucket.registry": bucket, "google_project_service.apis[0]": {}})
    assert recall(left, {}, declared(GCP)) == {"kms_key": KEY}
    assert recall(State({}, {}), {}, declared(GCP)) == {}


def test_the_settings_that_are_written_win_over_what_could_be_read() -> None:
    state = deployed(SET)
    written = State({"settings": {"access": "open", "project": "p", "name": "shop", "region": "r"}}, state.resources)
    assert set(OPTIONS) > {"project", "name", "region"}
    assert recall(written, {}, declared(GCP)) == {"access": "open"}
