"""Metrics: the fields of a log line from which CloudWatch makes metrics.

Source: Amazon CloudWatch user guide, "Embedded metric format specification".
"""

import time
from collections.abc import Mapping
from typing import Any

NAMESPACE = "onnxlet"

_METRICS = {"milliseconds": "Milliseconds", "run_ms": "Milliseconds", "failed": "Count", "refused": "Count"}
"""The metrics of each request, with CloudWatch's units. AWS bills each of them."""


def embedded_metrics(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields from which CloudWatch makes metrics: by model if one answered."""
    metrics = [{"Name": name, "Unit": unit} for name, unit in _METRICS.items() if line.get(name) is not None]
    dimensions = [["model"]] if line.get("model") else [[]]
    directive = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}
