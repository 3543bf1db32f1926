"""HTTP as both clouds see it: a request, a response, and the encodings of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from onnxlet.errors import TooLargeError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.limits import (
    MAX_ACCEPTED_CODINGS,
    MAX_BODY_BYTES,
    MAX_CODINGS,
    MAX_GZIP_MEMBERS,
    MAX_INFLATED_BYTES,
    memory,
)
from onnxlet.record import EMPTY, Record, replace

JSON = "application/json"
"""The media type of JSON, without a charset: KServe's client reads an error's text only if the type is exactly this."""

MIN_COMPRESSED_BYTES = 1024
"""The size below which a body is not compressed: it fits one packet anyway."""

COMPRESSION_LEVEL = 1
"""The fastest level: time is billed, and slower levels make JSON little smaller."""

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""The supported content codings with zlib's `wbits` for each, the preferred coding first."""

ALIASES = {"x-gzip": "gzip"}
"""The other names of content codings. Source: RFC 9110, section 8.4.1.3."""

_PLAIN = frozenset({"", "identity", "aws-chunked"})
"""Values of `Content-Encoding` that mean no coding; S3 stores the last with objects that its SDKs upload in chunks."""

_RAW_WINDOW_BITS = -15
"""The `wbits` of deflate without zlib's header, which many clients send. Source: RFC 9110, section 8.4.1.2."""

MAX_INFLATION = 1032
"""The largest factor by which a body grows. Source: zlib, "Technical Details", maximum compression factor."""

GZIP_MAGIC = b"\x1f\x8b"

_INFLATE_BYTES = 64 * 1024
"""The size of the pieces that zlib gets: it copies whatever follows the end of a member."""

_QUALITY = r"(?a:q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))"
"""A client's preference for a coding, 0 to 1. Source: RFC 9110, section 12.4.2."""


class Request(Record):
    """An HTTP request, in the same form for both clouds."""

    method: str
    path: str
    """The path, percent-decoded and without the query."""
    body: bytes = b""
    headers: Mapping[str, str] = EMPTY
    """The header fields, by name in lower case."""
    query: Mapping[str, str] = EMPTY
    id: str | None = None
    """The platform's identifier of the request."""
    base_path: str = ""
    """The prefix that was removed from `path`: that of a domain's mapping or of a load balancer's rule."""
    response_limit_bytes: int | None = None
    """The largest response if the request's way here allows less than the platform; else None."""


class Response(Record):
    """An HTTP response, in the same form for both clouds."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = EMPTY
    """The header fields other than the content type."""

    @property
    def is_text(self) -> bool:
        """Whether the body is uncompressed text, which Lambda carries without base64."""
        return self.content_type.startswith((JSON, "text/")) and "content-encoding" not in self.headers


def merged(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by name in lower case: repeated ones joined by commas, and without cookies.

    Source: RFC 9110, section 5.3.
    """
    headers: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key != "cookie":
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def below(request: Request, base_path: str) -> Request:
    """Return a request with the base path moved out of its path; a request outside of the base path is not changed."""
    if not base_path or not f"{request.path}/".startswith(f"{base_path}/"):
        return request
    return replace(request, path=request.path.removeprefix(base_path), base_path=f"{request.base_path}{base_path}")


def without_body(response: Response) -> Response:
    """Return the response to HEAD: that to GET without its body. Source: RFC 9110, section 9.3.2."""
    return replace(response, body=b"", headers={**response.headers, "content-length": str(len(response.body))})


def to_json(document: Mapping[str, Any] | list[Any], status: int = 200) -> Response:
    """Return a response with a JSON document."""
    return Response(status, orjson.dumps(document))


def decompressed(request: Request) -> Request:
    """Return a request with its body decompressed; raise as `inflated` does."""
    coding = request.headers.get("content-encoding")
    return request if coding is None else replace(request, body=inflated(request.body, coding))


def inflated(body: bytes, coding: str) -> bytes:
    """Decompress a body.

    Args:
        body: The body.
        coding: The value of `Content-Encoding`: the codings in the order in which they were applied.

    Raises:
        UnsupportedMediaError: a coding is not gzip or deflate, or there are too many codings.
        UnreadablePayloadError: the body does not have this coding.
        TooLargeError: the body grows over the limit; no more than that is decompressed.
    """
    names = [name.strip().lower() for name in coding.split(",")]
    codings = [ALIASES.get(name, name) for name in names if name not in _PLAIN]
    if len(codings) > MAX_CODINGS or not WINDOW_BITS.keys() >= set(codings):
        raise UnsupportedMediaError(
            f"content-encoding: expected {' or '.join(WINDOW_BITS)}, got {coding[:80]!r}", codings=(*WINDOW_BITS,)
        )
    for name in reversed(codings):
        check_size(body)
        body = _inflate_members(body, name)
    return body


def _inflate_members(body: bytes, coding: str) -> bytes:
    """Undo one coding. A gzip body may have several members and zeros after them, as on tapes and in block files."""
    memory.take(2 * min(MAX_INFLATED_BYTES, MAX_INFLATION * len(body)))
    pieces: list[bytes] = []
    left_bytes, position = MAX_INFLATED_BYTES, 0
    for _ in range(MAX_GZIP_MEMBERS):
        piece, position = _inflate_member(body, position, coding, left_bytes)
        pieces.append(piece)
        left_bytes -= len(piece)
        rest = memoryview(body)[position:]
        if coding != "gzip" or rest[:2] != GZIP_MAGIC:
            break
    if rest[:2] == GZIP_MAGIC and coding == "gzip":
        raise TooLargeError(f"gzip body: expected at most {MAX_GZIP_MEMBERS} members, got more")
    if rest and (coding != "gzip" or bytes(rest).strip(b"\0")):
        raise UnreadablePayloadError(f"{coding} body: expected nothing after its end, got {len(rest)} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _inflate_member(body: bytes, start: int, coding: str, at_most: int) -> tuple[bytes, int]:
    """Decompress the member that starts at a position; return it and the position after it."""
    import zlib  # most requests are not compressed

    decompressor = zlib.decompressobj(_window_bits(body, coding))
    pieces, size_bytes, position = [], 0, start
    while not decompressor.eof:
        chunk = body[position : position + _INFLATE_BYTES]
        if not chunk:
            raise UnreadablePayloadError(f"the {coding} body is cut off")
        try:
            piece = decompressor.decompress(chunk, at_most + 1 - size_bytes)
        except zlib.error as error:
            raise UnreadablePayloadError(f"the body is not {coding}: {error}") from error
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > at_most:
            raise TooLargeError(
                f"{coding} body: expected at most {MAX_INFLATED_BYTES} bytes after decompression, got more"
            )
        position += len(chunk) - len(decompressor.unused_data)
    return b"".join(pieces), position


def _window_bits(body: bytes, coding: str) -> int:
    """Return zlib's `wbits` for a body. Deflate may come with zlib's header, two bytes that include a checksum."""
    has_header = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
    return WINDOW_BITS[coding] if coding == "gzip" or has_header else _RAW_WINDOW_BITS


def compressed(response: Response, request: Request) -> Response:
    """Return the response compressed if the client accepts that and the body is large enough."""
    if "content-encoding" in response.headers:
        return response
    qualities = _qualities(request.headers.get("accept-encoding", ""))
    coding = _negotiate(qualities)
    if len(response.body) < MIN_COMPRESSED_BYTES and not (coding and qualities.get("identity") == 0):
        return response
    vary = ", ".join(filter(None, (response.headers.get("vary"), "accept-encoding")))
    response = replace(response, headers={**response.headers, "vary": vary})
    if coding is None:
        return response
    import zlib  # most responses are not compressed

    compressor = zlib.compressobj(COMPRESSION_LEVEL, wbits=WINDOW_BITS[coding])
    body = compressor.compress(response.body) + compressor.flush()
    return replace(response, body=body, headers={**response.headers, "content-encoding": coding})


def _qualities(header: str) -> dict[str, float]:
    """Return a client's preference for each coding in its `Accept-Encoding`; malformed entries are ignored."""
    qualities: dict[str, float] = {}
    for part in header.lower().split(",")[:MAX_ACCEPTED_CODINGS]:
        name, _, parameter = (text.strip() for text in part.partition(";"))
        match = re.fullmatch(_QUALITY, parameter) if parameter else None
        if name and (match or not parameter):
            qualities[ALIASES.get(name, name)] = float(match[1]) if match else 1.0
    return qualities


def _negotiate(qualities: Mapping[str, float]) -> str | None:
    """Return the coding that a client prefers; None if the response must stay uncompressed.

    Source: RFC 9110, section 12.5.3.
    """
    others = qualities.get("*", 0.0)
    best = max(WINDOW_BITS, key=lambda coding: qualities.get(coding, others))  # the first of equals
    quality = qualities.get(best, others)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def wire_bytes(response: Response, *, is_lambda: bool) -> int:
    """Return how much of the platform's limit a response takes in bytes: Lambda carries it inside a JSON document."""
    if not is_lambda:
        return len(response.body)
    if response.is_text:
        return len(response.body) + response.body.count(b'"') + response.body.count(b"\\")
    return (len(response.body) + 2) // 3 * 4


def check_size(body: bytes) -> None:
    """Refuse a body over the limit; raise as `check_length` does."""
    check_length(len(body))


def check_length(size_bytes: int) -> None:
    """Refuse a body over the limit by its size.

    Raises:
        TooLargeError: the body is larger than the limit.
    """
    if size_bytes > MAX_BODY_BYTES:
        raise TooLargeError(
            f"expected a body of at most {MAX_BODY_BYTES} bytes, got {size_bytes}: name an object in storage instead, "
            f'as {{"image_path": URL}}, or put the object where object events are answered'
        )
