"""The trace of a request: the headers by which a client, or another service, follows it through this function.

Source: W3C, "Trace Context"; AWS X-Ray, "Tracing header"; W3C, "Server Timing".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from onnxlet.record import EMPTY, Record

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_XRAY_ROOT = re.compile(r"(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII)
_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


class Trace(Record):
    """The place of a request in a trace across services."""

    trace_id: str
    span_id: str
    flags: str

    def header(self) -> str:
        """Return the `traceparent` header of the response."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse_trace(headers: Mapping[str, str] = EMPTY) -> Trace:
    """Return the trace of a request's W3C header, else of its X-Ray header, else a new one."""
    span_id = os.urandom(8).hex()
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    if match and match[1].strip("0") and match[2].strip("0"):
        return Trace(match[1], span_id, match[3])
    match = _XRAY_ROOT.search(headers.get("x-amzn-trace-id", ""))
    trace_id = match[1] + match[2] if match else os.urandom(16).hex()
    return Trace(trace_id, span_id, "01")


def parse_request_id(headers: Mapping[str, str], platform_id: str | None) -> str | None:
    """Return the client's identifier of a request, else the platform's; None if neither is fit for a header."""
    for text in (headers.get("x-request-id"), platform_id):
        if text and _REQUEST_ID.fullmatch(text):
            return text
    return None


def server_timing(steps_s: Mapping[str, float], total_s: float, *, is_cold: bool) -> str:
    """Return the `Server-Timing` header: milliseconds of each step and in total, and `cold` for the first request."""
    entries = {**steps_s, "total": total_s}
    timing = ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in entries.items())
    return f"cold, {timing}" if is_cold else timing
