import gzip
import json
import math
import zlib
from typing import Any

import pytest

from onnxlet.errors import InvalidJsonError, OnnxletError, TooLargeError, UnsupportedMediaError
from onnxlet.http import Request, Response, compressed, decompressed
from onnxlet.limits import MAX_BODY_BYTES, MAX_CODINGS, MAX_GZIP_MEMBERS, MAX_INFLATED_BYTES
from onnxlet.media.json_body import parse_json

BODY = b"some body" * 1000


def request(body: bytes, encoding: str) -> Request:
    return Request("POST", "/", body, {"content-encoding": encoding})


def raw_deflate(data: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "GZIP "),
        (zlib.compress(BODY), "deflate"),
        (BODY, "identity"),
        (BODY, ""),
        (BODY, " , identity,"),
        (BODY, "aws-chunked"),
        (gzip.compress(BODY), "x-gzip"),
        (gzip.compress(BODY), "gzip, aws-chunked"),
        (gzip.compress(gzip.compress(BODY)), "gzip, gzip"),
        (gzip.compress(zlib.compress(BODY)), "deflate, x-gzip"),
        (raw_deflate(BODY), "deflate"),
        (raw_deflate(BODY, level=0), "deflate"),
        (gzip.compress(BODY[:10]) + gzip.compress(BODY[10:]), "gzip"),
        (gzip.compress(BODY) + gzip.compress(b""), "gzip"),  # as bgzip ends a file
        (gzip.compress(BODY) + bytes(512), "gzip"),  # as a tape does
    ],
)
def test_a_body_is_read_as_it_was(body: bytes, encoding: str) -> None:
    assert decompressed(request(body, encoding)).body == BODY


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (BODY, "br", 415),
        (BODY, "zstd", 415),
        (BODY, "br, gzip", 415),
        (BODY, "gzip, br", 415),
        (BODY, ", ".join(["gzip"] * (MAX_CODINGS + 1)), 415),
        (gzip.compress(BODY), "gzip, gzip", 422),
        (gzip.compress(BODY) + bytes(9) + b"x", "gzip", 422),
        (gzip.compress(BODY) + gzip.compress(BODY)[:-1], "gzip", 422),
        (zlib.compress(BODY) + zlib.compress(BODY), "deflate", 422),
        (gzip.compress(bytes(MAX_INFLATED_BYTES)) + gzip.compress(b"x"), "gzip", 413),
        (gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1), "gzip", 413),
        (BODY, "gzip", 422),
        (b"", "gzip", 422),
        (gzip.compress(BODY)[:-1], "gzip", 422),
        (gzip.compress(BODY)[:40], "gzip", 422),
        (gzip.compress(BODY), "deflate", 422),
        (gzip.compress(bytes(MAX_INFLATED_BYTES + 1)), "gzip", 413),
        (gzip.compress(BODY) + b"x", "gzip", 422),
        (zlib.compress(BODY) + BODY, "deflate", 422),
        (bytes(MAX_BODY_BYTES + 1), "gzip", 413),
        (zlib.compress(bytes(10 * MAX_BODY_BYTES)), "deflate", 413),
    ],
)
def test_what_is_not_so_encoded_or_a_bomb_is_a_4xx(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(OnnxletError) as caught:
        decompressed(request(body, encoding))
    assert caught.value.status == status


def test_a_body_may_be_as_large_as_the_limit() -> None:
    whole = bytes(MAX_INFLATED_BYTES)
    assert decompressed(request(gzip.compress(whole), "gzip")).body == whole


def test_a_refused_coding_is_answered_with_those_that_are_accepted() -> None:
    with pytest.raises(UnsupportedMediaError) as caught:
        decompressed(request(BODY, "br"))
    assert caught.value.headers == {"accept-encoding": "gzip, deflate"}
    assert dict(UnsupportedMediaError("another reason").headers) == {}


def negotiated(accepted: str | None, body: bytes = BODY, **headers: str) -> Response:
    request_headers = {} if accepted is None else {"accept-encoding": accepted}
    return compressed(Response(200, body, headers=headers), Request("GET", "/", headers=request_headers))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("br", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZip ; Q=0.5", "gzip"),
        ("deflate, gzip", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("deflate, gzip;q=0", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("gzip, *;q=0", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("identity;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=1.5", None),
        ("gzip;q=much", None),
        (";;,,;q=1", None),
    ],
)
def test_the_coding_that_a_client_wants_most_is_taken(accepted: str | None, coding: str | None) -> None:
    response = negotiated(accepted)
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "accept-encoding"
    assert decompressed(request(response.body, coding or "identity")).body == BODY


def test_a_small_body_is_compressed_only_for_who_refuses_it_plain() -> None:
    assert negotiated("gzip", b"small").headers == {}
    assert negotiated("gzip, identity;q=0", b"small").headers["content-encoding"] == "gzip"
    assert negotiated("identity;q=0", b"small").body == b"small"  # there is no other form that it accepts


def test_what_a_response_varies_by_is_kept() -> None:
    assert negotiated("gzip", vary="accept").headers["vary"] == "accept, accept-encoding"
    sent = Response(200, BODY, headers={"content-encoding": "gzip"})
    assert compressed(sent, Request("GET", "/", headers={"accept-encoding": "identity"})) is sent


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf[Infinity, "\\ud83d\\ude00 NaN"]', [math.inf, "\U0001f600 NaN"]),
        (b'[-Infinity, 1, 2.5, 3e2, -0.0, "NaN", null, true]', [-math.inf, 1, 2.5, 300.0, -0.0, "NaN", None, True]),
        (json.dumps([math.inf, -math.inf]).encode(), [math.inf, -math.inf]),
    ],
)
def test_json_is_read_as_pythons_own_writer_has_it(body: bytes, document: Any) -> None:
    for form in (body, memoryview(body)):
        assert repr(parse_json(form)) == repr(document)


def test_not_a_number_is_read() -> None:
    (value,) = parse_json(b"[NaN]")
    assert math.isnan(value)


@pytest.mark.parametrize(
    "body",
    [
        b"NaN,",
        b"[nan]",
        b"[-NaN]",
        b"[+Infinity]",
        b"[NaN, 1e400]",
        b"[NaN, -1e400]",
        b"[NaN, 18446744073709551616]",
        b"[NaN, " + b"9" * 5000 + b"]",
        b'[NaN, "\\ud800"]',
        b"[NaN, \xff]",
        b'["NaN"',
        b"[" * 5000 + b"NaN" + b"]" * 5000,
        b"\xef\xbb\xbf\xef\xbb\xbf[1]",
        "[1]".encode("utf-16"),
        b"",
    ],
)
def test_what_is_not_json_stays_refused(body: bytes) -> None:
    with pytest.raises(InvalidJsonError, match="the body is not JSON"):
        parse_json(body)


def test_json_with_tokens_is_counted_too() -> None:
    with pytest.raises(TooLargeError):
        parse_json(b"[" + b"NaN," * 4_000_001 + b"NaN]")
