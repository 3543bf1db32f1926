"""The log: one JSON line for each request or object, with CloudWatch's metrics or Cloud Logging's fields.

Source: Cloud Logging, "Structured logging".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from onnxlet import notices
from onnxlet.errors import OnnxletError, one_line
from onnxlet.observe.metrics import embedded_metrics
from onnxlet.observe.trace import Trace

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""The methods that a line may name (RFC 9110, section 9.3; RFC 5789). Any other word is the client's own text."""

OTHER_METHOD = "(other)"

MAX_TEXT_CHARACTERS = 2000
"""The length of a line's longest text: the URL of an object has up to 1,100 bytes."""

MAX_FRAMES = 12
"""The innermost frames of an error's traceback that are logged."""

WriteLine = Callable[[Mapping[str, Any]], None]


def method_name(method: str) -> str:
    """Return a request's method as a line names it."""
    return method if method in METHODS else OTHER_METHOD


def with_platform(line: Mapping[str, Any], trace: Trace, platform: str, project: str | None = None) -> dict[str, Any]:
    """Return a line with its trace and with the fields that the platform's log understands.

    Args:
        line: The facts of one request or object. Texts are cut to one line: an object's key is its owner's text.
        trace: The trace of the request.
        platform: `lambda`, `cloud-run` or `other`.
        project: The Google Cloud project that Cloud Logging keeps traces in.
    """
    line = {
        name: one_line(value, MAX_TEXT_CHARACTERS) if isinstance(value, str) else value for name, value in line.items()
    }
    fields: dict[str, Any] = {}
    if platform == "lambda":
        fields = embedded_metrics(line)
    elif platform == "cloud-run":
        fields = _cloud_logging(line, trace, project)
    return {**line, "trace_id": trace.trace_id, "span_id": trace.span_id, **fields}


def write_line(line: Mapping[str, Any]) -> None:
    """Write one line of JSON to the log. Lines never hold payloads."""
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()


def _cloud_logging(line: Mapping[str, Any], trace: Trace, project: str | None) -> dict[str, Any]:
    """Return the fields that Cloud Logging knows by name."""
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


def describe(error: BaseException) -> str:
    """Return an unexpected error's type and traceback in one line, without its text, which may quote a payload."""
    import traceback  # only an unexpected error needs it

    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    places = [f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}" for frame in reversed(frames)]
    cause = "" if error.__cause__ is None else f"; caused by {describe(error.__cause__)}"
    return f"{type(error).__name__} at {' < '.join(places)}{cause}"


def to_onnxlet_error(error: Exception) -> OnnxletError:
    """Return an error that a client may see. The details of any other error are only logged."""
    if isinstance(error, OnnxletError):
        return error
    notices.error("an error inside the function: %s", describe(error))
    return OnnxletError("an error inside the function; see the function's log")
