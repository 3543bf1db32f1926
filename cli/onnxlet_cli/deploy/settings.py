"""The variables of infra/gcp as a deployment has them: read from Terraform's state, so that nothing has to be repeated.

The configuration writes all of its variables into the state, as the output `settings`. The state of a deployment that
an earlier onnxlet made has none, nor has one whose removal failed half-way: there each variable is read from what it
has made.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxlet.errors import SettingsError

OUTPUT = "settings"

GIVEN = ("source_zip", "project", "region", "name")
"""Variables that the command gives itself, in each deployment; no setting of anybody's."""

VARIABLE = re.compile(r'^variable "(\w+)"', re.MULTILINE)

FUNCTION = "google_cloudfunctions2_function.http"
EVERYBODY = "google_cloud_run_v2_service_iam_member.everybody"
BUCKET = "google_storage_bucket"
STAYS = (
    BUCKET,
    "google_kms_crypto_key_iam_member",
    "google_project_service",
    "google_project_service_identity",
    "time_sleep",
)
"""What is left while a bucket is not empty: it, and what it was made with."""

Values = Mapping[str, Any]
"""A resource's attributes."""


@dataclass(frozen=True)
class State:
    """What Terraform's state says."""

    outputs: Mapping[str, Any]
    resources: Mapping[str, dict[str, Any]]
    """By their addresses, as `terraform show -json` gives them."""

    def values(self, address: str) -> Values:
        """Return a resource's attributes, of the first where there are several.

        Raises:
            KeyError: there is no such resource.
        """
        found = self.all(address)
        if not found:
            raise KeyError(address)
        return found[0]

    def all(self, address: str) -> list[Values]:
        """Return the attributes of all resources of an address with `count` or `for_each`."""
        return [item["values"] for name, item in self.resources.items() if name.partition("[")[0] == address]

    @property
    def is_removed(self) -> bool:
        """Whether nothing is left but buckets that were not empty, and what they need."""
        return all(item["type"] in STAYS for item in self.resources.values())


def declared(folder: Path) -> set[str]:
    """Return the names of all variables of a configuration."""
    return {name for path in folder.glob("*.tf") for name in VARIABLE.findall(path.read_text())}


def recall(state: State, named: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    """Return the settings of what is deployed that nobody has named anew.

    Args:
        state: Terraform's.
        named: What the user has named, by `--set`; those count as known, whatever they are.
        known: The variables of this checkout.

    Raises:
        SettingsError: a setting cannot be known, or this checkout does not know it; the text says what to name.
    """
    found = state.outputs.get(OUTPUT)
    if found is None:
        found = _read_kept(state) if state.is_removed else _read_former(state, named)
    strange = sorted(set(found) - known - set(named))
    if strange:
        raise SettingsError(
            f"{', '.join(strange)}: set in what is deployed, and no variable of this checkout, which is an older one: "
            f"update it, or drop them with {_as_options(strange)}"
        )
    return {name: value for name, value in found.items() if name not in named and name not in GIVEN}


def _read_kept(state: State) -> dict[str, Any]:
    """Return the one setting that outlives a removal: the key that encrypts the buckets that were not empty."""
    buckets = [item["values"] for item in state.resources.values() if item["type"] == BUCKET]
    keys = [each["default_kms_key_name"] for bucket in buckets for each in bucket.get("encryption") or []]
    return {"kms_key": keys[0]} if keys else {}


def _read_former(state: State, named: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of a deployment whose state has no output for them.

    Raises:
        SettingsError: some cannot be read, since what they make is not there.
    """
    found, missing = {}, []
    for name, read in FORMER.items():
        try:
            found[name] = read(state)
        except (KeyError, IndexError, TypeError, ValueError):
            missing.append(name)
    missing = [name for name in missing if name not in named]
    if missing:
        raise SettingsError(
            "what is deployed was made by an earlier onnxlet, or is left of a removal, and does not say all of its "
            f"settings: name each as it was, or its default with {_as_options(missing)}"
        )
    return found


def _as_options(names: list[str]) -> str:
    return " ".join(f"--set {name}=" for name in names)


def _config(state: State) -> Values:
    return dict(state.values(FUNCTION)["service_config"][0])


def _environment(name: str, default: Any = None, convert: Callable[[str], Any] = str) -> Callable[[State], Any]:
    """Return what reads a variable that the HTTP function has in its environment, if it is set."""

    def read(state: State) -> Any:
        text = (_config(state).get("environment_variables") or {}).get(name)
        return default if text is None else convert(text)

    return read


def _list(text: str) -> list[str]:
    return text.split(",")


def _inputs(text: str) -> list[str]:
    """Return prefixes of the input bucket: `gs://bucket/photos/` is `photos/`."""
    return [url.split("/", 3)[3] for url in text.split(",")]


def _number(text: str) -> float:
    return float(text) if "." in text or "e" in text else int(text)


def _cpu(state: State) -> float | None:
    """Return None for one CPU, which was the default and is that of little memory."""
    found = _number(str(_config(state)["available_cpu"]))
    return None if found == 1 else found


def _concurrency(state: State) -> int | None:
    """Return None for the default, which follows the CPUs."""
    found = int(_config(state)["max_instance_request_concurrency"])
    return None if found == 4 * _number(str(_config(state)["available_cpu"])) else found


def _memory(state: State) -> int:
    return int(str(_config(state)["available_memory"]).removesuffix("Mi"))


def _days(bucket: str) -> Callable[[State], int | None]:
    """Return what reads after how many days a bucket's objects are deleted, whatever is written in it."""

    def read(state: State) -> int | None:
        for rule in state.values(f"{BUCKET}.{bucket}").get("lifecycle_rule") or []:
            condition, action = rule["condition"][0], rule["action"][0]["type"]
            is_ours = not condition.get("days_since_noncurrent_time") and "answers/" not in (
                condition.get("matches_prefix") or []
            )
            if action == "Delete" and is_ours and condition.get("age"):
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
    """Return what reads which existing bucket the HTTP function uses, where the deployment has not made its own."""

    def read(state: State) -> str | None:
        url = (_config(state).get("environment_variables") or {}).get(variable)
        return None if state.all(f"{BUCKET}.{own}") or not url else url.split("/")[2]

    return read


def _input_bucket(state: State) -> str | None:
    found = state.all("google_storage_notification.inputs")
    return found[0]["bucket"] if found and not state.all(f"{BUCKET}.inputs") else None


def _interface(attribute: str) -> Callable[[State], str | None]:
    """Return what reads the network that the HTTP function sends through without a connector."""

    def read(state: State) -> str | None:
        found = _config(state).get("direct_vpc_network_interface") or [{}]
        return found[0].get(attribute) or None

    return read


def _egress(state: State) -> str:
    """Return the default where nothing is sent through a network, whatever Google has filled in."""
    config = _config(state)
    found = config.get("vpc_connector_egress_settings") if config.get("vpc_connector") else None
    if config.get("direct_vpc_network_interface"):
        found = str(config["direct_vpc_egress"]).removeprefix("VPC_EGRESS_")
    return found or "PRIVATE_RANGES_ONLY"


def _attempts(state: State) -> int:
    return int(state.values("google_pubsub_subscription.messages")["dead_letter_policy"][0]["max_delivery_attempts"])


FORMER: dict[str, Callable[[State], Any]] = {
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
        [each["member"] for each in state.all("google_cloud_run_v2_service_iam_member.invokers")]
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
    "memory_mib": _memory,
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
"""How each variable is read from what it has made: in the deployments of onnxlet before 30 November 2026, and where a
removal that failed half-way has taken all outputs, but not the functions."""
