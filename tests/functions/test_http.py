import gzip
import zlib

import pytest

from onnxlet.config import MAX_BODY_BYTES, MAX_INFLATED_BYTES
from onnxlet.errors import OnnxletError
from onnxlet.http import Request, decompressed

BODY = b"some body" * 1000


def request(body: bytes, encoding: str) -> Request:
    return Request("POST", "/", body, {"content-encoding": encoding})


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "GZIP "),
        (zlib.compress(BODY), "deflate"),
        (BODY, "identity"),
    ],
)
def test_a_body_is_read_as_it_was(body: bytes, encoding: str) -> None:
    assert decompressed(request(body, encoding)).body == BODY


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (BODY, "br", 415),
        (BODY, "gzip, gzip", 415),
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
