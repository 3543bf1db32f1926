"""The settings of a deployment without the output `settings`, each read from the resource that it configured.

onnxlet wrote no such output before 30 November 2026, and a removal that failed half-way removes it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from onnxlet_cli.deploy.gcp.state import BUCKET, State, Values
from onnxlet_cli.errors import DeploymentError

FUNCTION = "google_cloudfunctions2_function.http"
EVERYBODY = "google_cloud_run_v2_service_iam_member.everybody"


def read_former(state: State, named: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the resources of a state tell; those that the user names need not be known.

    Raises:
        DeploymentError: some settings are unknown, since the resources that they configured are missing.
    """
    found = {}
    for name, read in READERS.items():
        with suppress(KeyError, IndexError, TypeError, ValueError):
            found[name] = read(state)
    missing = [name for name in READERS if name not in found and name not in named]
    if missing:
        raise DeploymentError(
            "the deployment was made by an earlier onnxlet, or is the rest of a removal, and does not say all of its "
            f"settings: name each as it was, or its default with {as_options(missing)}"
        )
    return found


def as_options(names: list[str]) -> str:
    """Return the options that set variables back to their defaults."""
    return " ".join(f"--set {name}=" for name in names)


def _config(state: State) -> Values:
    return dict(state.values(FUNCTION)["service_config"][0])


def _environment(name: str, default: Any = None, convert: Callable[[str], Any] = str) -> Callable[[State], Any]:
    """Return a reader of an environment variable of the HTTP function."""

    def read(state: State) -> Any:
        text = (_config(state).get("environment_variables") or {}).get(name)
        return default if text is None else convert(text)

    return read


def _list(text: str) -> list[str]:
    return text.split(",")


def _inputs(text: str) -> list[str]:
    """Return the prefixes in the input bucket: `photos/` for `gs://bucket/photos/`."""
    return [url.split("/", 3)[3] for url in text.split(",")]


def _number(text: str) -> float:
    return float(text) if "." in text or "e" in text else int(text)


def _cpu(state: State) -> float | None:
    """Return None for one CPU, which was the default and still is with little memory."""
    found = _number(str(_config(state)["available_cpu"]))
    return None if found == 1 else found


def _concurrency(state: State) -> int | None:
    """Return None for the default, which follows from the number of CPUs."""
    found = int(_config(state)["max_instance_request_concurrency"])
    return None if found == 4 * _number(str(_config(state)["available_cpu"])) else found


def _days(bucket: str) -> Callable[[State], int | None]:
    """Return a reader of the days after which all objects of a bucket are deleted."""

    def read(state: State) -> int | None:
        for rule in state.values(f"{BUCKET}.{bucket}").get("lifecycle_rule") or []:
            condition, action = rule["condition"][0], rule["action"][0]["type"]
            is_of_answers = "answers/" in (condition.get("matches_prefix") or [])
            is_general = not condition.get("days_since_noncurrent_time") and not is_of_answers
            if action == "Delete" and is_general and condition.get("age"):
                return int(condition["age"])
        return None

    return read


def _threshold(policy: str, number: int = 0) -> Callable[[State], float]:
    def read(state: State) -> float:
        conditions = state.values(f"google_monitoring_alert_policy.{policy}")["conditions"]
        return float(conditions[number]["condition_threshold"][0]["threshold_value"])

    return read


def _channels(state: State) -> list[str]:
    own = [channel["id"] for channel in state.all("google_monitoring_notification_channel.email")]
    channels = state.values("google_monitoring_alert_policy.errors").get("notification_channels") or []
    return [channel for channel in channels if channel not in own]


def _email(state: State) -> str | None:
    found = state.all("google_monitoring_notification_channel.email")
    return found[0]["labels"]["email_address"] if found else None


def _prefix(state: State) -> str:
    found = state.all("google_storage_notification.inputs")
    return (found[0].get("object_name_prefix") or "") if found else ""


def _bucket_of(variable: str, own: str) -> Callable[[State], str | None]:
    """Return a reader of the existing bucket that the HTTP function uses; None if the deployment made its own."""

    def read(state: State) -> str | None:
        url = (_config(state).get("environment_variables") or {}).get(variable)
        return None if state.all(f"{BUCKET}.{own}") or not url else url.split("/")[2]

    return read


def _input_bucket(state: State) -> str | None:
    found = state.all("google_storage_notification.inputs")
    return found[0]["bucket"] if found and not state.all(f"{BUCKET}.inputs") else None


def _interface(attribute: str) -> Callable[[State], str | None]:
    """Return a reader of the network that the HTTP function sends through without a connector."""

    def read(state: State) -> str | None:
        found = _config(state).get("direct_vpc_network_interface") or [{}]
        return found[0].get(attribute) or None

    return read


def _egress(state: State) -> str:
    """Return the default if nothing is sent through a network, even if Google filled in another value."""
    config = _config(state)
    found = config.get("vpc_connector_egress_settings") if config.get("vpc_connector") else None
    if config.get("direct_vpc_network_interface"):
        found = str(config["direct_vpc_egress"]).removeprefix("VPC_EGRESS_")
    return found or "PRIVATE_RANGES_ONLY"


def _attempts(state: State) -> int:
    return int(state.values("google_pubsub_subscription.messages")["dead_letter_policy"][0]["max_delivery_attempts"])


READERS: dict[str, Callable[[State], Any]] = {
    "access": _environment("ONNXLET_ACCESS", "open"),
    "alert_email": _email,
    "alert_error_ratio": _threshold("errors"),
    "alert_oldest_message_s": _threshold("waiting"),
    "alert_p95_ms": _threshold("latency"),
    "alert_p99_ms": _threshold("latency", 1),
    "allow_unauthenticated": lambda state: bool(state.values(FUNCTION) and state.all(EVERYBODY)),
    "base_path": _environment("ONNXLET_BASE_PATH", ""),
    "capture_inputs": _environment("ONNXLET_CAPTURE_INPUTS", default=False, convert=lambda text: text == "1"),
    "capture_share": _environment("ONNXLET_CAPTURE", 0, _number),
    "concurrency": _concurrency,
    "cors_origins": _environment("ONNXLET_CORS_ORIGINS", [], _list),
    "cpu": _cpu,
    "delete_data": lambda state: bool(state.values(f"{BUCKET}.registry").get("force_destroy")),
    "edge": _environment("ONNXLET_EDGE", default=False, convert=lambda text: text == "1"),
    "explain_runs": _environment("ONNXLET_EXPLAIN_RUNS", 2000, _number),
    "generate_length": _environment("ONNXLET_GENERATE_LENGTH", 1024, _number),
    "http_inputs": _environment("ONNXLET_INPUTS", [], _inputs),
    "ingress": lambda state: _config(state)["ingress_settings"],
    "input_bucket": _input_bucket,
    "input_days": _days("inputs"),
    "input_prefix": _prefix,
    "invokers": lambda state: (
        [invoker["member"] for invoker in state.all("google_cloud_run_v2_service_iam_member.invokers")]
        if state.values(FUNCTION)
        else []
    ),
    "kms_key": lambda state: state.values(FUNCTION).get("kms_key_name") or None,
    "labels": lambda state: state.values(FUNCTION).get("labels") or {},
    "max_delivery_attempts": _attempts,
    "max_event_instances": lambda state: state.values("google_cloudfunctions2_function.messages")["service_config"][0][
        "max_instance_count"
    ],
    "max_instances": lambda state: _config(state)["max_instance_count"],
    "memory_mib": lambda state: int(str(_config(state)["available_memory"]).removesuffix("Mi")),
    "min_instances": lambda state: _config(state).get("min_instance_count") or 0,
    "model": _environment("ONNXLET_MODEL"),
    "notification_channels": _channels,
    "object_events": lambda state: "eventarc" if state.all("google_cloudfunctions2_function.objects") else "pubsub",
    "public_keys": _environment("ONNXLET_PUBLIC_KEYS", [], _list),
    "refresh_s": _environment("ONNXLET_REFRESH_S", 60, _number),
    "registry_bucket": _bucket_of("ONNXLET_REGISTRY", "registry"),
    "result_days": _days("results"),
    "results_bucket": _bucket_of("ONNXLET_RESULTS", "results"),
    "runtime": lambda state: state.values(FUNCTION)["build_config"][0]["runtime"],
    "timeout_s": lambda state: _config(state)["timeout_seconds"],
    "training": lambda state: bool(state.all("google_service_account.training")),
    "variant": _environment("ONNXLET_VARIANT"),
    "vpc_connector": lambda state: _config(state).get("vpc_connector") or None,
    "vpc_egress": _egress,
    "vpc_network": _interface("network"),
    "vpc_subnetwork": _interface("subnetwork"),
}
"""The reader of each variable."""
