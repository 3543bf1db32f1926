"""Cloud Storage over real HTTP: objects, generations, preconditions, lists.

Its XML API as far as obstore uses it, and its JSON API as far as Terraform and `onnxlet deploy` use that.

Source: Google Cloud Storage, "XML API reference" (GET, HEAD, PUT Object; GET Bucket), "JSON API reference" (Buckets:
get, insert, list; Objects: delete, get, insert, list) and "Request preconditions".
"""

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from onnxlet_cli.local.http import Handler, serving

JSON_API = "/storage/v1/"
BUCKETS = f"{JSON_API}b"
OBJECT = re.compile(rf"{BUCKETS}/([^/]+)/o/(.+)")


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
        self.properties: dict[str, dict[str, Any]] = {}
        """Of the buckets that were made by a request: what was asked for."""
        self.foreign: set[str] = set()
        """Buckets of other projects."""
        self.token: str | None = None
        """What every request must carry; by default none need."""
        self.tokens: list[str | None] = []
        """What requests have carried."""
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

    def is_let_in(self) -> bool:
        """Whether a request has the token, where one is asked for; answers it where not."""
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ") or None
        self.fake.tokens.append(token)
        if self.fake.token in (None, token):
            return True
        self.fail_json(401, "Invalid Credentials")
        return False

    def do_GET(self) -> None:
        if not self.is_let_in():
            return
        address = urlsplit(self.path)
        if address.path.startswith(JSON_API):
            self.get_json(address.path, {name: values[0] for name, values in parse_qs(address.query).items()})
            return
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
        if not self.is_let_in():
            return
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
        if not self.is_let_in():
            return
        path = urlsplit(self.path).path
        if (match := OBJECT.fullmatch(path)) is not None:
            bucket, key = match[1], unquote(match[2])
        else:
            bucket, _, key = unquote(path).lstrip("/").partition("/")
        with self.fake.lock:
            self.fake.buckets[bucket].pop(key, None)
            self.reply(204, b"", {})

    def get_json(self, path: str, query: dict[str, str]) -> None:
        with self.fake.lock:
            if path == BUCKETS:
                names = [name for name in self.fake.buckets if name.startswith(query.get("prefix", ""))]
                self.answer({"items": [{"name": name} for name in names if name not in self.fake.foreign]})
            elif (match := re.fullmatch(rf"{BUCKETS}/([^/]+)(/o)?", path)) is not None:
                self.answer_bucket(match[1], query if match[2] else None)
            elif (match := OBJECT.fullmatch(path)) is not None:
                key = unquote(match[2])
                blob = self.fake.buckets.get(match[1], {}).get(key)
                if blob is None:
                    self.fail_json(404, f"No such object: {match[1]}/{key}")
                elif query.get("alt") == "media":
                    self.reply(200, blob.data, headers_of(blob))
                else:
                    self.answer(metadata_of(match[1], key, blob))

    def answer_bucket(self, bucket: str, query: dict[str, str] | None) -> None:
        """What a bucket is, or a list of its objects."""
        if bucket not in self.fake.buckets:
            self.fail_json(404, "The specified bucket does not exist.")
        elif query is None:
            self.answer({"name": bucket})
        else:
            found = self.fake.buckets[bucket].items()
            items = [metadata_of(bucket, *item) for item in found if item[0].startswith(query.get("prefix", ""))]
            self.answer({"items": items})

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) if not self.is_chunked else self.chunks()
        if not self.is_let_in():
            return
        with self.fake.lock:
            if address.path == BUCKETS:
                self.make_bucket(json.loads(body))
            else:
                self.upload(address.path.removeprefix("/upload").split("/")[4], query, body)

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding") == "chunked"

    def chunks(self) -> bytes:
        """A body of which the client did not know the length."""
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def make_bucket(self, wanted: dict[str, Any]) -> None:
        if wanted["name"] in self.fake.buckets:
            self.fail_json(409, "The requested bucket name is not available.")
            return
        self.fake.buckets[wanted["name"]] = {}
        self.fake.properties[wanted["name"]] = wanted
        self.answer(wanted)

    def upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        """A multipart upload: a JSON document, and the object's bytes."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers["content-type"])
        assert boundary is not None
        _, document, data, _ = body.split(b"--" + boundary[1].encode(), 3)
        key = query.get("name") or json.loads(document.partition(b"\r\n\r\n")[2])["name"]
        old = self.fake.buckets[bucket].get(key)
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != (old.generation if old else 0):
            self.fail_json(412, "At least one of the pre-conditions you specified did not hold.")
            return
        data = data.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        blob = self.fake.buckets[bucket][key] = Blob(data, next(self.fake.generations))
        self.answer(metadata_of(bucket, key, blob))

    def answer(self, document: dict[str, Any]) -> None:
        self.reply(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def fail_json(self, status: int, message: str) -> None:
        document = {"error": {"code": status, "message": message}}
        self.reply(status, json.dumps(document).encode(), {"content-type": "application/json"})

    def fail(self, status: int, code: str) -> None:
        self.reply(status, f"<Error><Code>{code}</Code></Error>".encode(), {"content-type": "application/xml"})


def headers_of(blob: Blob) -> dict[str, str]:
    return {
        "etag": blob.etag,
        "last-modified": blob.modified,
        "x-goog-generation": str(blob.generation),
        "content-type": "application/octet-stream",
    }


def metadata_of(bucket: str, key: str, blob: Blob) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "name": key,
        "generation": str(blob.generation),
        "metageneration": "1",
        "size": str(len(blob.data)),
    }
