"""Variables of infra/gcp that a plan is tried with."""

from typing import Any

from tests.helpers import keys

KEY = "projects/p/locations/europe-west1/keyRings/k/cryptoKeys/c"


EVERYTHING: dict[str, Any] = {
    "name": "cats",
    "labels": {"team": "vision"},
    "runtime": "python314",
    "model": "cats",
    "variant": "int8",
    "refresh_s": 5,
    "public_keys": [keys.text(1)],
    "capture_share": 0.1,
    "capture_inputs": True,
    "explain_runs": 0,
    "generate_length": 0,
    "http_inputs": ["photos/"],
    "input_prefix": "inbox/",
    "memory_mib": 8192,
    "cpu": 4,
    "concurrency": 2,
    "min_instances": 1,
    "max_instances": 3,
    "max_event_instances": 3,
    "timeout_s": 90,
    "allow_unauthenticated": True,
    "invokers": ["user:ada@example.com"],
    "access": "keys",
    "edge": True,
    "base_path": "/ml",
    "cors_origins": ["https://app.example.com"],
    "ingress": "ALLOW_INTERNAL_AND_GCLB",
    "vpc_connector": "projects/p/locations/r/connectors/c",
    "vpc_egress": "ALL_TRAFFIC",
    "max_delivery_attempts": 5,
    "kms_key": KEY,
    "input_days": 30,
    "result_days": 60,
    "delete_data": True,
    "alert_email": "ada@example.com",
    "notification_channels": ["projects/p/notificationChannels/1"],
    "alert_error_ratio": 0.1,
    "alert_p95_ms": 100,
    "alert_p99_ms": 200,
    "alert_oldest_message_s": 60,
    "training": True,
}
"""Another value than the default for every variable; what excludes one of them is in APART."""


OURS = {"registry_bucket": "our-models", "input_bucket": "our-photos", "results_bucket": "our-answers"}
"""Buckets that exist already."""


APART: dict[str, dict[str, Any]] = {
    "object_events": {"object_events": "eventarc", "input_prefix": ""},
    "vpc_network": {"vpc_network": "net", "vpc_subnetwork": "sub", "vpc_connector": None},
    "registry_bucket": {**OURS, "input_days": None, "result_days": None},
}
"""What excludes one of them, by its first variable."""


BUCKET = {"data.google_storage_bucket": {"location": "EUROPE-WEST1", "uniform_bucket_level_access": True}}
"""What Google tells of a bucket that exists already."""
