"""Deployments by the real Terraform, with its state in a Cloud Storage over real HTTP.

infra/gcp itself needs Google's provider, for which the one of tests/infra/provider.py stands. It takes its time; so in
most tests one resource of Terraform's own stands for all of Google's and keeps every variable of infra/gcp.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.deploy.cloud import Change, Options, Release
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.gcp.settings import declared
from onnxlet_cli.deploy.process import silent
from tests.helpers import keys
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.gcp_deployment import GCP
from tests.infra.terraform import ENVIRONMENT

BUCKET = "project-1-onnxlet-state"


STATE = "onnxlet/project-1-europe-west1-shop/default.tfstate"


VALUES: dict[str, str] = {
    "access": "keys",
    "alert_email": "ada@example.com",
    "alert_error_ratio": "0.25",
    "alert_oldest_message_s": "120",
    "alert_p95_ms": "250",
    "alert_p99_ms": "2500",
    "allow_unauthenticated": "true",
    "base_path": "/ml",
    "cors_origins": json.dumps(["https://app.example.com"]),
    "capture_inputs": "true",
    "capture_share": "0.125",
    "concurrency": "3",
    "cpu": "2",
    "delete_data": "true",
    "edge": "true",
    "explain_runs": "500",
    "generate_length": "64",
    "http_inputs": '["photos/","$${scans}/"]',
    "ingress": "ALLOW_INTERNAL_AND_GCLB",
    "input_days": "30",
    "input_prefix": "in box/",
    "invokers": '["user:ada@example.com"]',
    "kms_key": "projects/p/locations/r/keyRings/k/cryptoKeys/c",
    "labels": '{"team":"a","owner":"ada"}',
    "max_delivery_attempts": "7",
    "max_event_instances": "4",
    "max_instances": "5",
    "memory_mib": "2048",
    "min_instances": "1",
    "model": "digits",
    "notification_channels": '["projects/p/notificationChannels/1"]',
    "object_events": "pubsub",
    "public_keys": json.dumps([keys.text(1)]),
    "refresh_s": "5",
    "result_days": "60",
    "runtime": "python312",
    "timeout_s": "90",
    "training": "true",
    "variant": "int8",
    "vpc_connector": "projects/P/locations/R/connectors/C",
    "vpc_egress": "ALL_TRAFFIC",
}
"""Variables of infra/gcp with a value that is not the default."""


OTHERS: dict[str, str] = {
    "input_bucket": "our-photos",
    "registry_bucket": "our-models",
    "results_bucket": "our-answers",
    "vpc_network": "net",
    "vpc_subnetwork": "sub",
}
"""The other variables: what they exclude must be empty."""


EXISTING = {"data.google_storage_bucket": {"location": "EUROPE-WEST1", "uniform_bucket_level_access": True}}


EXCLUDED = ("input_days", "result_days", "vpc_connector")


ALL = VALUES | OTHERS


STAND_IN = """
resource "terraform_data" "everything" {{
  input = {{ {variables} }}
}}
output "http_url" {{ value = "http://127.0.0.1:9" }}
output "registry_url" {{ value = "gs://registry" }}
output "input_url" {{ value = "gs://inputs" }}
output "results_url" {{ value = "gs://results" }}
"""


def checkout(folder: Path, *, has_settings: bool = True) -> Path:
    """A checkout with infra/gcp's own variables and settings."""
    target = folder / "infra/gcp"
    target.mkdir(parents=True)
    shutil.copy(GCP / "variables.tf", target)
    names = declared(GCP) - {"source_zip"}
    text = STAND_IN.format(variables=", ".join(f"{name} = var.{name}" for name in sorted(names)))
    settings = re.search(r'^output "settings" \{.*?^\}\n', (GCP / "outputs.tf").read_text(), re.MULTILINE | re.DOTALL)
    assert settings is not None
    (folder / "package.zip").touch()
    (target / "main.tf").write_text(text + (settings[0] if has_settings else ""))
    return folder


def gcp(root: Path, **options: Any) -> Gcp:
    return Gcp(Options("shop", "europe-west1", "project-1", **options), root, pauses_s=(0,))


def wanted(cloud: Gcp) -> Release:
    return Release(cloud.root / "package.zip", "digits", None)


def deploy(cloud: Gcp) -> list[str]:
    """Deploy as the command does; gives the lines that it prints."""
    lines: list[str] = []
    cloud.check()
    cloud.find()
    cloud.apply(wanted(cloud), lines.append)
    return lines


def plan(cloud: Gcp) -> list[Change]:
    cloud.check()
    cloud.find()
    return cloud.plan(wanted(cloud), silent)


def settings(gcs: FakeGcs, key: str = STATE, bucket: str = BUCKET) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gcs.buckets[bucket][key].data)["outputs"]["settings"]["value"]
    return found


def former(root: Path, gcs: FakeGcs) -> Path:
    """What an earlier onnxlet left: a state in a workspace of this checkout, here with settings."""
    deploy(gcp(root, others={"access": "keys"}))
    path = root / "infra/gcp/terraform.tfstate.d/project-1-europe-west1-shop/terraform.tfstate"
    path.parent.mkdir(parents=True)
    path.write_bytes(gcs.buckets[BUCKET][STATE].data)
    del gcs.buckets[BUCKET]
    return path


@contextmanager
def cloud_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """Google's Cloud Storage, and a token that it accepts, while the context lasts."""
    fake = FakeGcs()
    fake.token = "a-token"
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        yield fake
