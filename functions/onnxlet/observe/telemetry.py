"""What an operator sees: one JSON line per request, with the metrics of AWS and the fields of GCP, and trace contexts.

Source: CloudWatch, "Embedded metric format specification"; Cloud Logging, "Structured logging"; W3C, "Trace Context";
W3C, "Server Timing".
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from onnxlet.errors import OnnxletError, one_line
from onnxlet.record import Record
from onnxlet.settings import Settings

logger = logging.getLogger("onnxlet")

NAMESPACE = "onnxlet"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""The methods that a line names (RFC 9110, section 9.3; RFC 5789): any other word is a client's own text."""

OTHER_METHOD = "(other)"

MAX_LINE_TEXT_CHARACTERS = 2000
"""Of one field of a line: an object's URL has up to 1,100 bytes."""

MAX_FRAMES = 12
"""Of an error's way, from where it was raised."""

WriteLine = Callable[[Mapping[str, Any]], None]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_XRAY_ROOT = re.compile(r"(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII)
_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)

_METRICS = {"milliseconds": "Milliseconds", "run_ms": "Milliseconds", "failed": "Count", "refused": "Count"}
"""Of each request, with CloudWatch's unit; the more of them, the more they cost."""


class Trace(Record):
    """Where a request belongs in a trace of many services."""

    trace_id: str
    parent_id: str | None
    span_id: str
    flags: str

    def header(self) -> str:
        """The `traceparent` of what this request's answer is a part of."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse_trace(headers: Mapping[str, str] = MappingProxyType({})) -> Trace:
    """The trace that a request came with: W3C's header, else X-Ray's; a new one where there is neither."""
    span_id = os.urandom(8).hex()
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    if match and match[1].strip("0") and match[2].strip("0"):
        return Trace(match[1], match[2], span_id, match[3])
    match = _XRAY_ROOT.search(headers.get("x-amzn-trace-id", ""))
    trace_id = match[1] + match[2] if match else os.urandom(16).hex()
    return Trace(trace_id, None, span_id, "01")


def parse_request_id(headers: Mapping[str, str], platform_id: str | None) -> str | None:
    """The client's own name for its request, else the platform's; it goes into a header and must be fit for one."""
    for text in (headers.get("x-request-id"), platform_id):
        if text and _REQUEST_ID.fullmatch(text):
            return text
    return None


def method_name(method: str) -> str:
    """Return a request's method as a line names it."""
    return method if method in METHODS else OTHER_METHOD


def describe(error: BaseException) -> str:
    """What the log says of an error that is not ours: its kind and its way. Its text may quote a payload."""
    import traceback  # nobody hopes to need it

    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    places = [f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}" for frame in reversed(frames)]
    cause = "" if error.__cause__ is None else f"; caused by {describe(error.__cause__)}"
    return f"{type(error).__name__} at {' < '.join(places)}{cause}"


def to_onnxlet_error(error: Exception) -> OnnxletError:
    """Return an error that a client may see. The details of any other error are only logged."""
    if isinstance(error, OnnxletError):
        return error
    logger.error("an error inside the function: %s", describe(error))
    return OnnxletError("an error inside the function; see the function's log")


def server_timing(steps_s: Mapping[str, float], total_s: float, *, is_cold: bool) -> str:
    """The `Server-Timing` header: the milliseconds of each step and of all, and `cold` for the first request."""
    entries = {**steps_s, "total": total_s}
    timing = ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in entries.items())
    return f"cold, {timing}" if is_cold else timing


def with_platform(line: Mapping[str, Any], trace: Trace, settings: Settings) -> dict[str, Any]:
    """Return the facts of one request or object, with its trace and what the platform's log makes metrics of.

    Every text among the facts becomes one bounded line: the key of an object is its owner's text.
    """
    line = {
        name: one_line(value, MAX_LINE_TEXT_CHARACTERS) if isinstance(value, str) else value
        for name, value in line.items()
    }
    platform: dict[str, Any] = {}
    if settings.platform == "lambda":
        platform = _embedded_metrics(line)
    elif settings.platform == "cloud-run":
        platform = _cloud_logging(line, trace, settings.project)
    return {**line, "trace_id": trace.trace_id, "span_id": trace.span_id, **platform}


def write_line(line: Mapping[str, Any]) -> None:
    """Write one line of JSON into the log; never a payload."""
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()


def _embedded_metrics(line: Mapping[str, Any]) -> dict[str, Any]:
    """What makes CloudWatch count the line: metrics by model, where one answered."""
    metrics = [{"Name": name, "Unit": unit} for name, unit in _METRICS.items() if line.get(name) is not None]
    dimensions = [["model"]] if line.get("model") else [[]]
    directive = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}


def _cloud_logging(line: Mapping[str, Any], trace: Trace, project: str | None) -> dict[str, Any]:
    """The fields that Cloud Logging knows by name."""
    fields: dict[str, Any] = {
        "severity": "ERROR" if line["failed"] else "WARNING" if line["refused"] else "INFO",
        "logging.googleapis.com/spanId": trace.span_id,
    }
    if "status" in line:
        fields["httpRequest"] = {
            "requestMethod": line["method"],
            "status": line["status"],
            "requestSize": str(line["request_bytes"]),
            "responseSize": str(line["response_bytes"]),
            "latency": f"{line['milliseconds'] / 1000:.6f}s",
        }
    if project:
        fields["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace.trace_id}"
    return fields
