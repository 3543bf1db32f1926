"""HTTP as both clouds see it: a request, a response, and the encodings of their bodies."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from onnxlet.config import (
    MAX_BODY_BYTES,
    MAX_INFLATED_BYTES,
    MAX_JSON_LISTS,
    MAX_JSON_OBJECTS,
    MAX_JSON_TEXTS,
    MAX_JSON_VALUES,
    MIN_COUNTED_BYTES,
)
from onnxlet.errors import InvalidJsonError, TooLargeError, UnreadablePayloadError, UnsupportedMediaError

JSON = "application/json"
"""Without a charset: KServe's client reads an error's text only where the type is exactly this."""

HEADER_LENGTH = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON; binary tensors follow them.

Source: Triton, `extension_binary_data.md`.
"""

MIN_COMPRESSED_BYTES = 1024
"""A smaller body fits one packet either way."""

COMPRESSION_LEVEL = 1
"""The fastest: time is billed, and the gain of the others on JSON is small."""

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""The content encodings, with zlib's number for each."""


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
    id: str | None = None
    """The platform's name for it."""
    response_limit_bytes: int | None = None
    """What its answer may have at most, where the way that it came allows less than the platform."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, whichever cloud it goes through."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside the content type."""

    @property
    def is_text(self) -> bool:
        """Whether the body is text that is not compressed, as Lambda can carry it without base64."""
        return self.content_type.startswith((JSON, "text/")) and "content-encoding" not in self.headers


def parse_json(body: bytes | memoryview) -> Any:
    """Read a body that is JSON.

    Raises:
        InvalidJsonError: it is not.
        TooLargeError: it would become more objects than memory has room for; they are counted before they are made.
    """
    if len(body) >= MIN_COUNTED_BYTES:
        _check_counts(bytes(body))
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error


def _check_counts(body: bytes) -> None:
    """Refuse JSON by the signs in it; those inside of its texts are counted, too."""
    found = {
        "values": (body.count(b","), MAX_JSON_VALUES),
        "texts": (body.count(b'"') // 2, MAX_JSON_TEXTS),
        "lists": (body.count(b"["), MAX_JSON_LISTS),
        "objects": (body.count(b"{"), MAX_JSON_OBJECTS),
    }
    for what, (count, at_most) in found.items():
        if count > at_most:
            raise TooLargeError(f"expected JSON of at most {at_most} {what}, got {count}: send binary data")


def to_json(document: Mapping[str, Any] | list[Any], status: int = 200) -> Response:
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
    check_size(request.body)
    import zlib  # most requests are not compressed

    decompressor = zlib.decompressobj(WINDOW_BITS[encoding])
    try:
        body = decompressor.decompress(request.body, MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise UnreadablePayloadError(f"the body is not {encoding}: {error}") from error
    if len(body) > MAX_INFLATED_BYTES:
        raise TooLargeError(f"expected {encoding} of at most {MAX_INFLATED_BYTES} bytes, it holds more")
    if not decompressor.eof:
        raise UnreadablePayloadError(f"the {encoding} body ends before its time")
    if decompressor.unused_data:
        raise UnreadablePayloadError(f"{len(decompressor.unused_data)} bytes follow the {encoding} body")
    return replace(request, body=body)


def compressed(response: Response, request: Request) -> Response:
    """The response as the client takes it smaller, where it does and that pays."""
    header = request.headers.get("accept-encoding")
    if header is None or len(response.body) < MIN_COMPRESSED_BYTES or "content-encoding" in response.headers:
        return response
    accepted = {part.partition(";")[0].strip() for part in header.lower().split(",")}
    encoding = next((encoding for encoding in WINDOW_BITS if encoding in accepted), None)
    if encoding is None:
        return response
    import zlib  # most responses are not compressed

    compressor = zlib.compressobj(COMPRESSION_LEVEL, wbits=WINDOW_BITS[encoding])
    body = compressor.compress(response.body) + compressor.flush()
    headers = {**response.headers, "content-encoding": encoding, "vary": "accept-encoding"}
    return replace(response, body=body, headers=headers)


def wire_bytes(response: Response, *, is_lambda: bool) -> int:
    """How many bytes of a platform's limit a response takes: Lambda carries it inside of a JSON document."""
    if not is_lambda:
        return len(response.body)
    if response.is_text:
        return len(response.body) + response.body.count(b'"') + response.body.count(b"\\")
    return (len(response.body) + 2) // 3 * 4


def check_size(body: bytes) -> None:
    """Refuse a body over the limit.

    Raises:
        TooLargeError: it is.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(
            f"expected a body of at most {MAX_BODY_BYTES} bytes, got {len(body)}: name an object in storage instead, "
            f'as {{"image_path": URL}}, or drop it where object events are answered'
        )
