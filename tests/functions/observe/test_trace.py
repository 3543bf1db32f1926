import pytest

from onnxlet.observe.trace import parse_request_id, parse_trace, server_timing

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_trace_is_carried_through() -> None:
    trace = parse_trace({"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"})
    assert (trace.trace_id, trace.flags) == (TRACE_ID, "01")
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
