"""Objects whose keys obstore would change or refuse, read by a signed GET of our own: exactly the key, byte for byte.

Keys are any text: `/a`, `a//b`, `a/../b` and `..` are four objects of a bucket, and none of them is `a` or `b`.

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

from onnxlet import deadline
from onnxlet.errors import InvalidNameError, StoreError, TooLargeError
from onnxlet.record import Record
from onnxlet.storage import credentials
from onnxlet.storage.failures import refused
from onnxlet.storage.store import RETRY, STALL_S, Revision, Stored

CHUNK_BYTES = 1024 * 1024

PAUSE_S = 0.05
"""Before the first retry; it doubles with each further one."""

RETRIED = (408, 429, 500, 502, 503, 504)

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class Request(Record):
    """A GET of one object."""

    url: str
    version_header: str
    """The header of the answer that names the object's version."""
    headers: Callable[[], Mapping[str, str]]
    """Make the headers of an attempt, with a signature of its time."""


def s3_request(root: str, key: str, version: str | None, region: str, credential_provider: Any) -> Request:
    """Return the request for an object of S3, signed with the credentials that obstore has, too.

    Args:
        root: The URL that the bucket's keys are appended to.
        key: The key.
        version: The object's version; None for the newest.
        region: The bucket's region.
        credential_provider: As for `open_store`; None takes the environment's.

    Raises:
        InvalidNameError: obstore's credentials come from where this module does not look.
    """
    provider = credential_provider or credentials.aws_provider()
    if provider is None:
        raise InvalidNameError(
            f"{key!r:.200}: such a key can be read with the credentials of AWS_ACCESS_KEY_ID or of Lambda only"
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
        root: The URL that the bucket's keys are appended to.
        key: The key. Its slashes are encoded, so that nothing on the way takes a part of it for `.` or `..`.
        version: The object's generation; None for the newest.
        has_token: Whether the store asks for a token; an emulator does not.
        provider: Returns a token in place of the service account's, as obstore takes it.

    Raises:
        InvalidNameError: obstore's credentials are a private key, with which this module cannot sign.
    """
    if has_token and provider is None and credentials.has_google_key():
        raise InvalidNameError(f"{key!r:.200}: such a key can be read with the credentials of a function only")

    def token() -> str:
        return credentials.google_token() if provider is None else str(provider()["token"])

    query = f"?generation={quote(version, safe='')}" if version else ""
    url = f"{root}/{quote(key, safe='~')}{query}"
    return Request(url, "x-goog-generation", partial(_gcs_headers, token if has_token else None))


def read(url: str, request: Request, at_most: int | None, ca_bundle: str | None) -> Stored:
    """Read an object whole, with the bounds, retries and errors of `Store.read`.

    Args:
        url: The object's URL, for errors.
        request: What is asked.
        at_most: How many bytes it may have.
        ca_bundle: The file of a certificate authority that is trusted, too.
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
    """Return the headers of a GET that S3 accepts from the owner of these credentials.

    Args:
        url: The whole URL, in which nothing is left to encode.
        region: The bucket's region.
        keys: As obstore's credential providers give them.
        now: The time, in UTC.
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
    """An attempt failed in a way that another one may not."""

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
        reason = getattr(error, "reason", error)  # urllib puts its own error around that of the connection
        if isinstance(reason, ssl.SSLError):
            raise StoreError(f"{url}: the TLS connection to the store failed: {reason}") from error
        raise _RetriedError(StoreError(f"{url}: the store does not answer as it should: {reason}")) from error


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
        raise StoreError(f"{url}: expected an object with its ETag and its length, got an answer without one")
    size_bytes = int(size)
    if at_most is not None and size_bytes > at_most:
        raise TooLargeError(f"{url}: expected at most {at_most} bytes, got {size_bytes}")
    data = reply.read(size_bytes)
    if len(data) != size_bytes:
        raise HTTPException(f"got {len(data)} of {size_bytes} bytes")
    revision = Revision(etag, reply.headers[request.version_header])
    return Stored(data, revision, reply.headers["content-type"] or "", reply.headers["content-encoding"] or "")


def _gcs_headers(token: Callable[[], str] | None) -> Mapping[str, str]:
    """Return the headers of a GET that wants an object as it is stored: by default Cloud Storage undoes its gzip."""
    authorization = {"authorization": f"Bearer {token()}"} if token else {}
    return {"accept-encoding": "gzip", **authorization}


def _opener(ca_bundle: str | None) -> urllib.request.OpenerDirector:
    """Return what opens URLs through the environment's proxies, and follows no redirect: no signature holds there."""
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
