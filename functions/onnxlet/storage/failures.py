"""Failures: errors of obstore and of the stores, translated to `onnxlet.errors` with the store's reason in one line."""

import re

import obstore.exceptions

from onnxlet.errors import (
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    InvalidNameError,
    ObjectNotFoundError,
    OnnxletError,
    StoreError,
)

_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
"""Hosts that the clouds' libraries ask last for credentials: an error from them means that no credentials exist."""

_CREDENTIAL_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "TokenRefreshRequired", "AuthorizationHeaderMalformed"}
)
"""Codes with which a store refuses credentials although the status is neither 401 nor 403.

Source: Amazon S3 API, "Error responses".
"""

_OBJECT_CODES = frozenset({"InvalidObjectState"})
"""Codes with the status 403 that are not about credentials."""

_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,600})")

_TLS = re.compile(
    r"InvalidCertificate\(\s*(?P<certificate>\w+)"
    r"|(?P<alert>AlertReceived|InvalidMessage|PeerIncompatible|PeerMisbehaved)\(\s*(?P<why>\w+)"
)
"""Errors of rustls, obstore's TLS library, which obstore appends to its own text."""

_REASON = re.compile(r'message: "([^"]{1,200})"|(dns error)')
"""The operating system's reason for a failed connection."""

_PROVIDER = re.compile(r"External \w+ credential provider: (\w+): ([^\n]{1,600})")
"""An error of a credential provider, before any request to the store."""

_REMEDIES = {
    "ExpiredToken": "log in again (`aws sso login`), or renew the session's credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "InvalidObjectState": "the object is archived: restore it first",
    "NotImplemented": "the store does not support the request, perhaps conditional writes (If-None-Match)",
    "SSOTokenLoadError": "run `aws sso login`",
    "TokenRetrievalError": "run `aws sso login`",
    "UnauthorizedSSOTokenError": "run `aws sso login`",
}
"""Remedies that the user can try, by the store's code or botocore's class name."""


def translate(error: Exception, url: str, *, is_write: bool) -> OnnxletError:
    """Return the error of `onnxlet.errors` for one of obstore's.

    Only a write can conflict with another writer. A read can fail with the same error (412), because obstore resumes a
    truncated body with `If-Match`; such a read may be repeated.
    """
    text = str(error)
    if is_write and isinstance(error, obstore.exceptions.AlreadyExistsError | obstore.exceptions.PreconditionError):
        return ConflictError(f"{url}: another writer was first")
    if isinstance(error, FileNotFoundError):
        return _not_found(url, text)
    provider = _PROVIDER.search(text)
    if provider:
        remedy = _REMEDIES.get(provider[1])
        reason = f"{provider[1]}: {provider[2].rstrip('.')}"
        return CredentialsError(f"{url}: no credentials for the store: {reason}{f'; {remedy}' if remedy else ''}")
    is_refusal = isinstance(error, obstore.exceptions.PermissionDeniedError | obstore.exceptions.UnauthenticatedError)
    if is_refusal or "<Code>" in text:
        return refused(url, text, is_refusal=is_refusal)
    if isinstance(error, ValueError):
        return InvalidNameError(f"{url}: {_first_line(text)}")
    return _unreached(url, error, text)


def refused(url: str, body: str, *, is_refusal: bool) -> OnnxletError:
    """Return the error for a store's response that is not the object.

    Args:
        url: The requested URL.
        body: The store's XML document; obstore puts other text around it.
        is_refusal: Whether the status is 401 or 403.
    """
    match = _CODE.search(body)
    code = match[1] if match else ""
    if code in {"NoSuchBucket", "NoSuchKey"}:
        return _not_found(url, body)
    if code in _CREDENTIAL_CODES or (is_refusal and code not in _OBJECT_CODES):
        return CredentialsError(f"{url}: the store refuses the credentials{_reason(code, body)}")
    reason = _reason(code, body) or f": {_first_line(body)}"
    return StoreError(f"{url}: the store did not answer as expected{reason}")


def _not_found(url: str, text: str) -> OnnxletError:
    if "NoSuchBucket" in text:
        return BucketNotFoundError(f"{url}: no such bucket")
    return ObjectNotFoundError(f"{url}: no such object")


def _unreached(url: str, error: Exception, text: str) -> OnnxletError:
    """Return the error for a request without a response from the store."""
    if any(host in text for host in _METADATA_HOSTS):
        return CredentialsError(f"{url}: no credentials in the environment, nor from the cloud's metadata service")
    if "redirect without LOCATION" in text:  # obstore's text for S3's PermanentRedirect
        return StoreError(f"{url}: the bucket is in another region; {_REMEDIES['PermanentRedirect']}")
    tls = _TLS.search(text)
    if tls:
        problem = tls["certificate"] or f"{tls['alert']} {tls['why']}"
        return StoreError(
            f"{url}: the TLS connection to the store failed ({problem}): if your own certificate authority signed the "
            "store's certificate, set AWS_CA_BUNDLE or SSL_CERT_FILE to that authority's file"
        )
    reason = None if isinstance(error, OSError) else _REASON.search(text)
    because = f" ({reason[1] or reason[2]})" if reason else ""
    return StoreError(f"{url}: the store did not answer as expected: {_first_line(text)}{because}")


def _reason(code: str, body: str) -> str:
    """Return the store's code in parentheses, its message, and what the user can do."""
    if not code:
        return ""
    from html import unescape  # imported only for an error

    message, remedy = _MESSAGE.search(body), _REMEDIES.get(code)
    reason = f" ({code}): {unescape(message[1]).rstrip('.')}" if message else f" ({code})"
    return f"{reason}; {remedy}" if remedy else reason


def _first_line(text: str) -> str:
    return text.partition("\n")[0].partition(": <?xml")[0].strip()
