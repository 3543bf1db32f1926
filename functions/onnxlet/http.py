"""HTTP as both clouds see it: a request, a response, and the encodings of their bodies."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from onnxlet.errors import TooLargeError, UnreadablePayloadError, UnsupportedMediaError

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The larger of the two clouds' own limits: Cloud Run functions take 32 MiB, Lambda 6 MB."""

JSON = "application/json"
"""Without a charset: KServe's client reads an error's text only where the type is exactly this."""

HEADER_LENGTH = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON; binary tensors follow them.

Source: Triton, `extension_binary_data.md`.
"""

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""The content encodings of requests, with zlib's number for each."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, whichever cloud it came through."""

    method: str
    path: str
    """Decoded, without the query."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, whichever cloud it goes through."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside the content type."""


def to_json(document: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, orjson.dumps(document))


def to_binary(document: Mapping[str, Any], buffers: list[memoryview]) -> Response:
    """An answer of JSON and the bytes that follow it."""
    header = orjson.dumps(document)
    body = b"".join([header, *buffers])
    return Response(200, body, "application/octet-stream", {HEADER_LENGTH: str(len(header))})


def decompressed(request: Request) -> Request:
    """The request with its body as it was before it was compressed.

    Raises:
        UnsupportedMediaError: an encoding other than gzip or deflate.
        UnreadablePayloadError: a body that is not so encoded.
        TooLargeError: one that grows over the limit; no more than that is ever decompressed.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return request
    if encoding not in WINDOW_BITS:
        raise UnsupportedMediaError(f"content-encoding: expected {' or '.join(WINDOW_BITS)}, got {encoding[:80]!r}")
    import zlib  # most requests are not compressed

    decompressor = zlib.decompressobj(WINDOW_BITS[encoding])
    try:
        body = decompressor.decompress(request.body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise UnreadablePayloadError(f"the body is not {encoding}: {error}") from error
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"expected a body of at most {MAX_BODY_BYTES} bytes, its {encoding} holds more")
    if not decompressor.eof:
        raise UnreadablePayloadError(f"the {encoding} body ends before its time")
    return replace(request, body=body)


def check_size(body: bytes) -> None:
    """Refuse a body over the limit.

    Raises:
        TooLargeError: it is.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"expected a body of at most {MAX_BODY_BYTES} bytes, got {len(body)}")
