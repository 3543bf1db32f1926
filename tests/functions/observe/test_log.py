import orjson
import pytest

from onnxlet.observe.log import MAX_TEXT_CHARACTERS, OTHER_METHOD, method_name, with_platform
from onnxlet.observe.trace import parse_trace

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


def test_cloudwatch_finds_its_metrics() -> None:
    """As the embedded metric format has it: every named metric and dimension is a member at the top."""
    line = with_platform(LINE, parse_trace({}), "lambda")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "onnxlet"
    assert directive["Dimensions"] == [["model"]]
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)
    assert {metric["Name"] for metric in directive["Metrics"]} == {"milliseconds", "run_ms", "failed", "refused"}
    assert isinstance(line["_aws"]["Timestamp"], int)
    without = with_platform({**LINE, "model": None}, parse_trace({}), "lambda")
    assert without["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]


@pytest.mark.parametrize(("status", "severity"), [(200, "INFO"), (404, "WARNING"), (500, "ERROR")])
def test_cloud_logging_finds_its_fields(status: int, severity: str) -> None:
    trace = parse_trace({"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"})
    line = with_platform(
        {**LINE, "status": status, "failed": status >= 500, "refused": 400 <= status < 500}, trace, "cloud-run", "mine"
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
def test_each_text_of_a_line_is_one_bounded_line(platform: str) -> None:
    texts = {"source": "s3://in/a\u2028b\u2029c\x85d\x1b[31m\r\n\ud800é", "message": "x" * 10**6, "code": None}
    line = with_platform({**LINE, **texts}, parse_trace(), platform)
    assert line["source"] == "s3://in/a b c d [31m   é"
    assert line["message"] == "x" * MAX_TEXT_CHARACTERS
    assert line["code"] is None
    assert orjson.dumps(line)
