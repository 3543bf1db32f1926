"""S3's responses to requests for a stored object: the whole, a part, or nothing if the client already has it.

Source: Amazon S3 API, GetObject and HeadObject; RFC 9110, 13 (conditional requests) and 14 (range requests).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)

KEPT_HEADERS = ("content-type", "etag", "last-modified", "x-amz-version-id", "x-amz-server-side-encryption")
KEPT_PREFIX = "x-amz-meta-"


@dataclass(frozen=True)
class StoredObject:
    """A stored object with its bytes in memory."""

    file: IO[bytes]
    """An anonymous file in memory, from which the kernel sends; it closes with its last reader."""
    size: int
    headers: Mapping[str, str]
    """The headers of every response for it; lower-case names."""

    @classmethod
    def keep(cls, data: bytes, headers: Mapping[str, str]) -> "StoredObject":
        """Keep an object's bytes, and those of its headers that belong to the object."""
        file = os.fdopen(os.memfd_create("object"), "wb", buffering=0)
        view = memoryview(data)
        while view:  # one write takes 2 GiB at most
            view = view[file.write(view) :]
        lower = {name.lower(): value for name, value in headers.items()}
        kept = {name: value for name, value in lower.items() if name in KEPT_HEADERS or name.startswith(KEPT_PREFIX)}
        return cls(file, len(data), kept)


@dataclass(frozen=True)
class Part:
    """A response: its status, its headers, and which bytes of the object follow."""

    status: int
    headers: dict[str, str]
    offset: int = 0
    size: int = 0


def respond(stored: StoredObject, headers: Mapping[str, str]) -> Part:
    """Return the response to a request for an object; the request's headers have lower-case names."""
    common = {**stored.headers, "accept-ranges": "bytes"}
    etag = stored.headers.get("etag", "")
    if "if-match" in headers and not _names(headers["if-match"], etag):
        return Part(412, {"content-length": "0"})
    if "if-none-match" in headers and _names(headers["if-none-match"], etag):
        return Part(304, common)
    requested = _RANGE.fullmatch(headers.get("range", "").strip())
    if requested is None or requested.group() == "bytes=-":
        return Part(200, {**common, "content-length": str(stored.size)}, 0, stored.size)
    first, last = _bounds(requested[1], requested[2], stored.size)
    if first > last:
        return Part(416, {"content-range": f"bytes */{stored.size}", "content-length": "0"})
    size = last - first + 1
    ranged = {"content-length": str(size), "content-range": f"bytes {first}-{last}/{stored.size}"}
    return Part(206, {**common, **ranged}, first, size)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte of a range, inclusive; an empty range has the first after the last."""
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size - 1)
    return int(first), min(int(last), size - 1) if last else size - 1


def _names(condition: str, etag: str) -> bool:
    """Return whether a condition names this entity tag, which clients write with or without quotes."""
    names = {name.strip().removeprefix("W/").strip('"') for name in condition.split(",")}
    return "*" in names or etag.strip('"') in names
