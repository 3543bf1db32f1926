"""Exact read: a signed GET of an object whose key obstore would change or refuse.

A key may be any text: `/a`, `a//b`, `a/../b` and `..` name four objects of a bucket, and none of them is `a` or `b`.

Source: AWS Signature Version 4, "Create a signed request" (S3 neither normalizes the path nor encodes it twice); Cloud
Storage, "XML API: GET Object" and "Encoding URI path parts".
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlsplit

from onnxlet.errors import InvalidNameError, StoreError, TooLargeError
from onnxlet.limits import deadline
from onnxlet.record import Record
from onnxlet.storage import credentials
from onnxlet.storage.connection import RETRY, STALL_S
from onnxlet.storage.failures import refused
from onnxlet.storage.reader import Revision, Stored

PAUSE_S = 0.05
"""Pause before the first retry; it doubles for each further one."""

RETRIED = (408, 429, 500, 502, 503, 504)

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class Request(Record):
    """A GET request for one object."""

    url: str
    version_header: str
    """The response header with the object's version."""
    headers: Callable[[], Mapping[str, str]]
    """Returns the headers of one attempt, with a signature of the current time."""


def s3_request(root: str, key: str, version: str | None, region: str, credential_provider: Any) -> Request:
    """Return the request for an object of S3, signed with the credentials that obstore also uses.

    Args:
        root: The URL in front of the bucket's keys.
        key: The object's key.
        version: The object's version; None for the newest.
        region: The bucket's region.
        credential_provider: See `open_store`; None takes the credentials in the environment.

    Raises:
        InvalidNameError: obstore has credentials from a source that this module does not support.
    """
    provider = credential_provider or credentials.aws_provider()
    if provider is None:
        raise InvalidNameError(
            f"{key!r:.200}: only the credentials of AWS_ACCESS_KEY_ID or of Lambda can read such a key"
        )
    query = f"?versionId={quote(version, safe='')}" if version else ""
    url = f"{root}/{quote(key, safe='/~')}{query}"

    def headers() -> Mapping[str, str]:
        return signed_headers(url, region, provider(), datetime.now(UTC))

    return Request(url, "x-amz-version-id", headers)


def gcs_request(
    root: str, key: str, version: str | None, *, has_token: bool, provider: Callable[[], dict[str, Any]] | None = None
) -> Request:
    """Return the request for an object of Cloud Storage, with the token of the function's service account.

    Args:
        root: The URL in front of the bucket's keys.
        key: The object's key. Its slashes are encoded, so that no proxy reads a part of it as `.` or `..`.
        version: The object's generation; None for the newest.
        has_token: Whether the store requires a token; an emulator does not.
        provider: Returns another token than the service account's, in obstore's form.

    Raises:
        InvalidNameError: obstore's credentials are a private key, with which this module cannot sign.
    """
    if has_token and provider is None and credentials.has_google_key():
        raise InvalidNameError(f"{key!r:.200}: only the credentials of a function can read such a key")

    def token() -> str:
        return credentials.google_token() if provider is None else str(provider()["token"])

    query = f"?generation={quote(version, safe='')}" if version else ""
    url = f"{root}/{quote(key, safe='~')}{query}"
    return Request(url, "x-goog-generation", partial(_gcs_headers, token if has_token else None))


def read(url: str, request: Request, at_most: int | None, ca_bundle: str | None) -> Stored:
    """Read a whole object with the limits, retries and errors of `Store.read`.

    Args:
        url: The object's URL, for errors.
        request: The request to send.
        at_most: The largest size in bytes that is read.
        ca_bundle: The file of a certificate authority to trust in addition.
    """
    opener = _opener(ca_bundle)
    pause_s = PAUSE_S
    for _ in range(RETRY["max_retries"]):
        deadline.check()
        try:
            return _attempt(opener, url, request, at_most)
        except _RetriedError:
            time.sleep(pause_s)
            pause_s *= 2
    try:
        return _attempt(opener, url, request, at_most)
    except _RetriedError as error:
        raise error.final from error.__cause__


def signed_headers(url: str, region: str, keys: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return the headers of a GET, signed by AWS Signature Version 4.

    Args:
        url: The whole URL, fully encoded.
        region: The bucket's region.
        keys: The credentials in obstore's form.
        now: The time in UTC.
    """
    address, moment = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": address.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": moment}
    if keys.get("token"):
        headers["x-amz-security-token"] = keys["token"]
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"GET\n{address.path}\n{address.query}\n{lines}\n{names}\n{EMPTY_SHA256}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    owner = f"{keys['access_key_id']}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={owner}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


class _RetriedError(Exception):
    """An attempt failed, but another one may succeed."""

    def __init__(self, final: Exception) -> None:
        super().__init__(str(final))
        self.final = final


def _attempt(opener: urllib.request.OpenerDirector, url: str, request: Request, at_most: int | None) -> Stored:
    try:
        get = urllib.request.Request(request.url, headers=dict(request.headers()))  # noqa: S310 - https, or an endpoint
        with opener.open(get, timeout=STALL_S) as reply:
            if reply.status != 200:
                raise _refusal(url, reply)
            return _stored(url, request, reply, at_most)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)  # urllib wraps the connection's error in its own
        if isinstance(reason, ssl.SSLError):
            raise StoreError(f"{url}: the TLS connection to the store failed: {reason}") from error
        raise _RetriedError(StoreError(f"{url}: the store did not answer as expected: {reason}")) from error


def _refusal(url: str, reply: HTTPResponse) -> Exception:
    body = reply.read(64 * 1024).decode("utf-8", "replace")
    if reply.status == 404 and "<Code>" not in body:
        body = "<Code>NoSuchKey</Code>"
    text = body if "<Code>" in body else f"status {reply.status}"
    error = refused(url, text, is_refusal=reply.status in {401, 403})
    return _RetriedError(error) if reply.status in RETRIED else error


def _stored(url: str, request: Request, reply: HTTPResponse, at_most: int | None) -> Stored:
    etag, size = reply.headers["etag"], reply.headers["content-length"]
    if etag is None or size is None:
        raise StoreError(f"{url}: expected an object with its ETag and its length, got a response without them")
    size_bytes = int(size)
    if at_most is not None and size_bytes > at_most:
        raise TooLargeError(f"{url}: expected at most {at_most} bytes, got {size_bytes}")
    data = reply.read(size_bytes)
    if len(data) != size_bytes:
        raise HTTPException(f"got {len(data)} of {size_bytes} bytes")
    revision = Revision(etag, reply.headers[request.version_header])
    return Stored(data, revision, reply.headers["content-type"] or "", reply.headers["content-encoding"] or "")


def _gcs_headers(token: Callable[[], str] | None) -> Mapping[str, str]:
    """Return the headers of a GET for the stored bytes; without them Cloud Storage removes gzip."""
    authorization = {"authorization": f"Bearer {token()}"} if token else {}
    return {"accept-encoding": "gzip", **authorization}


def _opener(ca_bundle: str | None) -> urllib.request.OpenerDirector:
    """Return an opener that uses the environment's proxies, but follows no redirect, where the signature is invalid."""
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(ca_bundle)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
    ):
        opener.add_handler(handler)
    return opener
