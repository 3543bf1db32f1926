"""What S3 says of a stored object: whole, in part, or not at all where the client has it already.

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
    """An object whose bytes are in memory."""

    file: IO[bytes]
    """Anonymous, in memory: the kernel sends from it. It closes with its last reader."""
    size: int
    headers: Mapping[str, str]
    """What S3 says of it with every answer; lower-case names."""

    @classmethod
    def keep(cls, data: bytes, headers: Mapping[str, str]) -> "StoredObject":
        """Keep an object's bytes, and of its headers those that belong to the object."""
        file = os.fdopen(os.memfd_create("object"), "wb", buffering=0)
        view = memoryview(data)
        while view:  # one write takes 2 GiB at most
            view = view[file.write(view) :]
        lower = {name.lower(): value for name, value in headers.items()}
        kept = {name: value for name, value in lower.items() if name in KEPT_HEADERS or name.startswith(KEPT_PREFIX)}
        return cls(file, len(data), kept)


@dataclass(frozen=True)
class Part:
    """What is answered to one request: a status, its headers, and which bytes follow."""

    status: int
    headers: dict[str, str]
    offset: int = 0
    size: int = 0


def answer(found: StoredObject, headers: Mapping[str, str]) -> Part:
    """Answer a request for an object.

    Args:
        found: The object.
        headers: The request's, with lower-case names.
    """
    said = {**found.headers, "accept-ranges": "bytes"}
    etag = found.headers.get("etag", "")
    if "if-match" in headers and not _names(headers["if-match"], etag):
        return Part(412, {"content-length": "0"})
    if "if-none-match" in headers and _names(headers["if-none-match"], etag):
        return Part(304, said)
    asked = _RANGE.fullmatch(headers.get("range", "").strip())
    if asked is None or asked.group() == "bytes=-":
        return Part(200, {**said, "content-length": str(found.size)}, 0, found.size)
    first, last = _bounds(asked[1], asked[2], found.size)
    if first > last:
        return Part(416, {"content-range": f"bytes */{found.size}", "content-length": "0"})
    size = last - first + 1
    ranged = {"content-length": str(size), "content-range": f"bytes {first}-{last}/{found.size}"}
    return Part(206, {**said, **ranged}, first, size)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and the last byte of a range, both included; the first after the last where it has none."""
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size - 1)
    return int(first), min(int(last), size - 1) if last else size - 1


def _names(condition: str, etag: str) -> bool:
    """Whether a condition names this entity tag; clients write it with quotes and without."""
    names = {name.strip().removeprefix("W/").strip('"') for name in condition.split(",")}
    return "*" in names or etag.strip('"') in names
