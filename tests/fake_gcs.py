"""Cloud Storage's XML API as far as obstore uses it, over real HTTP: objects, generations, preconditions, lists.

Source: Google Cloud Storage, "XML API reference" (GET, HEAD, PUT Object; GET Bucket) and "Request preconditions".
"""

import hashlib
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cli.local.http import Handler, serving


@dataclass
class Blob:
    data: bytes
    generation: int
    modified: str = field(default_factory=lambda: formatdate(usegmt=True))

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


class FakeGcs:
    """The buckets, and the lock that makes each request atomic."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, Blob]] = {bucket: {} for bucket in buckets}
        self.lock = threading.Lock()
        self.generations = itertools.count(1)
        self.is_create_only = False
        """Whether the writer may not delete, and is told so before the condition of its write is looked at."""
        self.read_keys: list[str] = []
        """Of every object that was read, in order."""

    @contextmanager
    def serving(self) -> Iterator[str]:
        handler = type("BoundGcsHandler", (GcsHandler,), {"fake": self})
        with serving(handler) as url:
            yield url

    def find(self, bucket: str, key: str, generation: str | None) -> Blob | None:
        blob = self.buckets[bucket].get(key)
        return blob if blob is None or generation in (None, str(blob.generation)) else None

    def list(self, bucket: str, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        contents, prefixes = [], set()
        for key, blob in sorted(self.buckets[bucket].items()):
            if not key.startswith(prefix):
                continue
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                prefixes.add(f"{prefix}{head}{delimiter}")
            else:
                contents.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f"<Size>{len(blob.data)}</Size><ETag>{blob.etag}</ETag></Contents>"
                )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(prefixes)
        )
        return f"<ListBucketResult>{''.join(contents)}{common}</ListBucketResult>".encode()


class GcsHandler(Handler):
    """What one request reads or writes."""

    fake: FakeGcs

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        with self.fake.lock:
            if bucket not in self.fake.buckets:
                self.fail(404, "NoSuchBucket")
            elif not key:
                self.reply(200, self.fake.list(bucket, query), {"content-type": "application/xml"})
            elif (blob := self.fake.find(bucket, key, query.get("generation"))) is None:
                self.fail(404, "NoSuchKey")
            elif self.headers.get("if-none-match") == blob.etag:
                self.reply(304, b"", headers_of(blob))
            else:
                self.fake.read_keys.append(key)
                self.reply(*self.part(blob))

    do_HEAD = do_GET

    def part(self, blob: Blob) -> tuple[int, bytes, dict[str, str]]:
        """The whole object, or the range of it that is asked for: `bytes=0-9`."""
        wanted = self.headers.get("range")
        if wanted is None:
            return 200, blob.data, headers_of(blob)
        start, last = map(int, wanted.removeprefix("bytes=").split("-"))
        if start >= len(blob.data):
            return 416, b"", headers_of(blob)
        data = blob.data[start : last + 1]
        where = {"content-range": f"bytes {start}-{start + len(data) - 1}/{len(blob.data)}"}
        return 206, data, headers_of(blob) | where

    def do_PUT(self) -> None:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        data = self.rfile.read(int(self.headers["content-length"]))
        with self.fake.lock:
            if bucket not in self.fake.buckets:
                self.fail(404, "NoSuchBucket")
                return
            old = self.fake.buckets[bucket].get(key)
            wanted = self.headers.get("x-goog-if-generation-match")
            if old is not None and self.fake.is_create_only:
                self.fail(403, "AccessDenied")
                return
            if wanted is not None and int(wanted) != (old.generation if old else 0):
                self.fail(412, "PreconditionFailed")
                return
            blob = self.fake.buckets[bucket][key] = Blob(data, next(self.fake.generations))
            self.reply(200, b"", headers_of(blob))

    def do_DELETE(self) -> None:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        with self.fake.lock:
            self.fake.buckets[bucket].pop(key, None)
            self.reply(204, b"", {})

    def fail(self, status: int, code: str) -> None:
        self.reply(status, f"<Error><Code>{code}</Code></Error>".encode(), {"content-type": "application/xml"})


def headers_of(blob: Blob) -> dict[str, str]:
    return {
        "etag": blob.etag,
        "last-modified": blob.modified,
        "x-goog-generation": str(blob.generation),
        "content-type": "application/octet-stream",
    }
