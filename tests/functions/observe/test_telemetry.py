from typing import Any

import orjson
import pytest

from onnxlet.observe.telemetry import (
    MAX_LINE_TEXT_CHARACTERS,
    OTHER_METHOD,
    method_name,
    parse_request_id,
    parse_trace,
    server_timing,
    with_platform,
)
from onnxlet.settings import Settings

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
LINE = {
    "method": "POST",
    "status": 200,
    "model": "digits",
    "milliseconds": 12.5,
    "run_ms": 3.25,
    "refused": 0,
    "failed": 0,
    "request_bytes": 100,
    "response_bytes": 50,
}


def test_a_trace_is_carried_through() -> None:
    trace = parse_trace({"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"})
    assert (trace.trace_id, trace.parent_id, trace.flags) == (TRACE_ID, PARENT_ID, "01")
    assert trace.header() == f"00-{TRACE_ID}-{trace.span_id}-01"
    assert trace.span_id != PARENT_ID


def test_x_rays_header_names_the_trace_too() -> None:
    header = f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent={PARENT_ID};Sampled=1"
    assert parse_trace({"x-amzn-trace-id": header}).trace_id == TRACE_ID


@pytest.mark.parametrize(
    "header", ["", "00", f"00-{TRACE_ID}-{PARENT_ID}", f"00-{'0' * 32}-{PARENT_ID}-01", f"ff-{TRACE_ID}-{PARENT_ID}-01"]
)
def test_what_is_no_trace_begins_a_new_one(header: str) -> None:
    first, second = (parse_trace({"traceparent": header}) for _ in range(2))
    assert len({first.trace_id, second.trace_id, TRACE_ID, "0" * 32}) == 4
    assert len(first.trace_id) == 32


@pytest.mark.parametrize(
    ("header", "platform_id", "expected"),
    [
        ("mine", "theirs", "mine"),
        (None, "theirs", "theirs"),
        ("two\r\nheaders: x", "theirs", "theirs"),
        ("é", None, None),
        ("x" * 129, None, None),
        (None, None, None),
    ],
)
def test_a_request_id_is_fit_for_a_header(header: str | None, platform_id: str | None, expected: str | None) -> None:
    headers = {} if header is None else {"x-request-id": header}
    assert parse_request_id(headers, platform_id) == expected


def test_server_timing_names_the_steps_in_milliseconds() -> None:
    timing = "decode;dur=1.20, run;dur=500.00, total;dur=600.00"
    assert server_timing({"decode": 0.0012, "run": 0.5}, 0.6, is_cold=False) == timing
    assert server_timing({"decode": 0.0012, "run": 0.5}, 0.6, is_cold=True) == f"cold, {timing}"


def test_cloudwatch_finds_its_metrics() -> None:
    """As the embedded metric format has it: every named metric and dimension is a member at the top."""
    line = with_platform(LINE, parse_trace({}), Settings("memory://x", platform="lambda"))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "onnxlet"
    assert directive["Dimensions"] == [["model"]]
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)
    assert {metric["Name"] for metric in directive["Metrics"]} == {"milliseconds", "run_ms", "failed", "refused"}
    assert isinstance(line["_aws"]["Timestamp"], int)
    without = with_platform({**LINE, "model": None}, parse_trace({}), Settings("memory://x", platform="lambda"))
    assert without["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]


@pytest.mark.parametrize(("status", "severity"), [(200, "INFO"), (404, "WARNING"), (500, "ERROR")])
def test_cloud_logging_finds_its_fields(status: int, severity: str) -> None:
    trace = parse_trace({"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"})
    settings = Settings("memory://x", platform="cloud-run", project="mine")
    line = with_platform(
        {**LINE, "status": status, "failed": status >= 500, "refused": 400 <= status < 500}, trace, settings
    )
    assert line["severity"] == severity
    assert line["logging.googleapis.com/trace"] == f"projects/mine/traces/{TRACE_ID}"
    assert line["logging.googleapis.com/spanId"] == trace.span_id
    assert line["httpRequest"]["latency"] == "0.012500s"
    assert "_aws" not in line


@pytest.mark.parametrize("method", ["", "get", "GET ", "GET\ud800", "X" * 999, "GET\u2028", "BREW"])
def test_a_method_that_no_standard_names_is_not_in_the_log(method: str) -> None:
    assert method_name(method) == OTHER_METHOD


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_method_of_the_standards_is_named(method: str) -> None:
    assert method_name(method) == method


@pytest.mark.parametrize("platform", ["lambda", "cloud-run", "other"])
def test_each_text_of_a_line_is_one_bounded_line(platform: Any) -> None:
    texts = {"source": "s3://in/a\u2028b\u2029c\x85d\x1b[31m\r\n\ud800é", "message": "x" * 10**6, "code": None}
    line = with_platform({**LINE, **texts}, parse_trace(), Settings("memory://x", platform=platform))
    assert line["source"] == "s3://in/a b c d [31m   é"
    assert line["message"] == "x" * MAX_LINE_TEXT_CHARACTERS
    assert line["code"] is None
    assert orjson.dumps(line)
