"""HTTP as both clouds see it: a request, a response, and the encodings of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from onnxlet import memory
from onnxlet.errors import TooLargeError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.limits import MAX_ACCEPTED_CODINGS, MAX_BODY_BYTES, MAX_CODINGS, MAX_GZIP_MEMBERS, MAX_INFLATED_BYTES
from onnxlet.record import EMPTY, Record, replace

JSON = "application/json"
"""Without a charset: KServe's client reads an error's text only where the type is exactly this."""

MIN_COMPRESSED_BYTES = 1024
"""A smaller body fits one packet either way."""

COMPRESSION_LEVEL = 1
"""The fastest: time is billed, and the gain of the others on JSON is small."""

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""The content codings, with zlib's number for each, and the preferred one first."""

ALIASES = {"x-gzip": "gzip"}
"""The other names of content codings. Source: RFC 9110, section 8.4.1.3."""

_PLAIN = frozenset({"", "identity", "aws-chunked"})
"""What names no coding; S3 keeps the last with objects that its SDKs have sent in chunks."""

_RAW_WINDOW_BITS = -15
"""zlib's number for deflate without zlib's own header, which many clients send. Source: RFC 9110, section 8.4.1.2."""

MAX_INFLATION = 1032
"""How many bytes one byte may become. Source: zlib, "Technical Details", maximum compression factor."""

GZIP_MAGIC = b"\x1f\x8b"

_INFLATE_BYTES = 64 * 1024
"""What is given to zlib at a time: it copies what follows the end of a member."""

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
"""How much a client wants a coding. Source: RFC 9110, section 12.4.2."""


class Request(Record):
    """An HTTP request, whichever cloud it came through."""

    method: str
    path: str
    """Decoded, without the query."""
    body: bytes = b""
    headers: Mapping[str, str] = EMPTY
    """Names in lower case."""
    query: Mapping[str, str] = EMPTY
    id: str | None = None
    """The platform's name for it."""
    base_path: str = ""
    """The path that was in front of `path`: a domain's mapping, a load balancer's rule."""
    response_limit_bytes: int | None = None
    """What its answer may have at most, where the way that it came allows less than the platform."""


class Response(Record):
    """An HTTP response, whichever cloud it goes through."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = EMPTY
    """Beside the content type."""

    @property
    def is_text(self) -> bool:
        """Whether the body is text that is not compressed, as Lambda can carry it without base64."""
        return self.content_type.startswith((JSON, "text/")) and "content-encoding" not in self.headers


def merged(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by name in lower case; one that is repeated is a list. Cookies are passed over.

    Source: RFC 9110, section 5.3.
    """
    headers: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key != "cookie":
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def below(request: Request, base_path: str) -> Request:
    """Return a request by its path below a base path, as if that were the root; one beside it stays as it is."""
    if not base_path or not f"{request.path}/".startswith(f"{base_path}/"):
        return request
    return replace(request, path=request.path.removeprefix(base_path), base_path=f"{request.base_path}{base_path}")


def without_body(response: Response) -> Response:
    """Return the response to HEAD: what GET would have answered, but its body. Source: RFC 9110, section 9.3.2."""
    return replace(response, body=b"", headers={**response.headers, "content-length": str(len(response.body))})


def to_json(document: Mapping[str, Any] | list[Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, orjson.dumps(document))


def decompressed(request: Request) -> Request:
    """Return the request with its body as it was before it was compressed; raises as `inflated`."""
    coding = request.headers.get("content-encoding")
    return request if coding is None else replace(request, body=inflated(request.body, coding))


def inflated(body: bytes, coding: str) -> bytes:
    """Return a body as it was before it was compressed.

    Args:
        body: The body.
        coding: The value of its `Content-Encoding`: the codings in the order in which they were applied.

    Raises:
        UnsupportedMediaError: a coding other than gzip or deflate, or too many of them.
        UnreadablePayloadError: a body that is not so encoded.
        TooLargeError: one that grows over the limit; no more than that is ever decompressed.
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
    """Undo one coding: a gzip body may have several members, and zeros after them, as tapes and block files do."""
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
        raise TooLargeError(f"expected gzip of at most {MAX_GZIP_MEMBERS} members, it has more")
    if rest and (coding != "gzip" or bytes(rest).strip(b"\0")):
        raise UnreadablePayloadError(f"{len(rest)} bytes follow the {coding} body")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _inflate_member(body: bytes, start: int, coding: str, at_most: int) -> tuple[bytes, int]:
    """Inflate what begins at a position; returns it, and where it ends."""
    import zlib  # most requests are not compressed

    decompressor = zlib.decompressobj(_window_bits(body, coding))
    pieces, size_bytes, position = [], 0, start
    while not decompressor.eof:
        chunk = body[position : position + _INFLATE_BYTES]
        if not chunk:
            raise UnreadablePayloadError(f"the {coding} body ends before its time")
        try:
            piece = decompressor.decompress(chunk, at_most + 1 - size_bytes)
        except zlib.error as error:
            raise UnreadablePayloadError(f"the body is not {coding}: {error}") from error
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > at_most:
            raise TooLargeError(f"expected {coding} of at most {MAX_INFLATED_BYTES} bytes, it holds more")
        position += len(chunk) - len(decompressor.unused_data)
    return b"".join(pieces), position


def _window_bits(body: bytes, coding: str) -> int:
    """Return zlib's number for a body: deflate comes with zlib's header, whose two bytes are a check of themselves."""
    has_header = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
    return WINDOW_BITS[coding] if coding == "gzip" or has_header else _RAW_WINDOW_BITS


def compressed(response: Response, request: Request) -> Response:
    """Return the response smaller, if the client accepts that and it pays."""
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
    """Return how much a client wants each coding that its `Accept-Encoding` names; what cannot be read names none."""
    qualities: dict[str, float] = {}
    for part in header.lower().split(",")[:MAX_ACCEPTED_CODINGS]:
        name, _, parameter = (text.strip() for text in part.partition(";"))
        match = _QUALITY.fullmatch(parameter) if parameter else None
        if name and (match or not parameter):
            qualities[ALIASES.get(name, name)] = float(match[1]) if match else 1.0
    return qualities


def _negotiate(qualities: Mapping[str, float]) -> str | None:
    """Return the coding that a client wants most; None leaves the response as it is.

    Source: RFC 9110, section 12.5.3.
    """
    others = qualities.get("*", 0.0)
    best = max(WINDOW_BITS, key=lambda coding: qualities.get(coding, others))  # of equals the first
    quality = qualities.get(best, others)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def wire_bytes(response: Response, *, is_lambda: bool) -> int:
    """How many bytes of a platform's limit a response takes: Lambda carries it inside of a JSON document."""
    if not is_lambda:
        return len(response.body)
    if response.is_text:
        return len(response.body) + response.body.count(b'"') + response.body.count(b"\\")
    return (len(response.body) + 2) // 3 * 4


def check_size(body: bytes) -> None:
    """Refuse a body over the limit; raises as `check_length`."""
    check_length(len(body))


def check_length(size_bytes: int) -> None:
    """Refuse a body over the limit by its size.

    Raises:
        TooLargeError: the body is over it.
    """
    if size_bytes > MAX_BODY_BYTES:
        raise TooLargeError(
            f"expected a body of at most {MAX_BODY_BYTES} bytes, got {size_bytes}: name an object in storage instead, "
            f'as {{"image_path": URL}}, or drop it where object events are answered'
        )
