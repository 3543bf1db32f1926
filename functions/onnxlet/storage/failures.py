"""The store's errors as ours, in one line that carries the code and the message that the store itself gave."""

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
"""Where the clouds' libraries look for credentials last: an error from there means that there are none."""

_CREDENTIAL_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "TokenRefreshRequired", "AuthorizationHeaderMalformed"}
)
"""Codes of a store that does not accept the credentials, with other statuses than 401 and 403.

Source: Amazon S3 API, "Error responses".
"""

_OBJECT_CODES = frozenset({"InvalidObjectState"})
"""Codes with the status 403 that say nothing about the credentials."""

_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,600})")

_TLS = re.compile(
    r"InvalidCertificate\(\s*(?P<certificate>\w+)"
    r"|(?P<alert>AlertReceived|InvalidMessage|PeerIncompatible|PeerMisbehaved)\(\s*(?P<why>\w+)"
)
"""The errors of rustls, obstore's TLS library, as obstore prints them behind its own text."""

_REASON = re.compile(r'message: "([^"]{1,200})"|(dns error)')
"""The operating system's reason for a connection that failed."""

_PROVIDER = re.compile(r"External \w+ credential provider: (\w+): ([^\n]{1,600})")
"""What a provider of credentials raised; the store was not asked."""

_REMEDIES = {
    "ExpiredToken": "log in again (`aws sso login`), or renew the session's credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "InvalidObjectState": "the object is archived: restore it first",
    "NotImplemented": "the store lacks what was asked for, perhaps conditional writes (If-None-Match)",
    "SSOTokenLoadError": "run `aws sso login`",
    "TokenRetrievalError": "run `aws sso login`",
    "UnauthorizedSSOTokenError": "run `aws sso login`",
}
"""What to do about an error, by the store's code for it or by botocore's name for it."""


def translate(error: Exception, url: str, *, is_write: bool) -> OnnxletError:
    """Return our error for one of obstore's.

    Only a write conflicts with others. A read that is refused in the same words may be repeated: obstore resumes a body
    that was cut on the condition that the object is still the same.
    """
    text = str(error)
    if is_write and isinstance(error, obstore.exceptions.AlreadyExistsError | obstore.exceptions.PreconditionError):
        return ConflictError(f"{url}: somebody else wrote it first")
    if isinstance(error, FileNotFoundError):
        return _not_found(url, text)
    provider = _PROVIDER.search(text)
    if provider:
        remedy = _REMEDIES.get(provider[1])
        said = f"{provider[1]}: {provider[2].rstrip('.')}"
        return CredentialsError(f"{url}: no credentials for the store: {said}{f'; {remedy}' if remedy else ''}")
    is_refusal = isinstance(error, obstore.exceptions.PermissionDeniedError | obstore.exceptions.UnauthenticatedError)
    if is_refusal or "<Code>" in text:
        return refused(url, text, is_refusal=is_refusal)
    if isinstance(error, ValueError):
        return InvalidNameError(f"{url}: {_first_line(text)}")
    return _unreached(url, error, text)


def refused(url: str, body: str, *, is_refusal: bool) -> OnnxletError:
    """Return the error for an answer of the store that is not the object.

    Args:
        url: What was asked for.
        body: The store's XML document, perhaps with text around it.
        is_refusal: Whether the status was 401 or 403.
    """
    found = _CODE.search(body)
    code = found[1] if found else ""
    if code in {"NoSuchBucket", "NoSuchKey"}:
        return _not_found(url, body)
    if code in _CREDENTIAL_CODES or (is_refusal and code not in _OBJECT_CODES):
        return CredentialsError(f"{url}: the store refuses the credentials{_said(code, body)}")
    said = _said(code, body) or f": {_first_line(body)}"
    return StoreError(f"{url}: the store does not answer as it should{said}")


def _not_found(url: str, text: str) -> OnnxletError:
    if "NoSuchBucket" in text:
        return BucketNotFoundError(f"{url}: no such bucket")
    return ObjectNotFoundError(f"{url}: no such object")


def _unreached(url: str, error: Exception, text: str) -> OnnxletError:
    """Return the error for a request that the store itself did not answer."""
    if any(host in text for host in _METADATA_HOSTS):
        return CredentialsError(f"{url}: no credentials in the environment, nor from the cloud's metadata service")
    if "redirect without LOCATION" in text:  # which is all that obstore says of S3's PermanentRedirect
        return StoreError(f"{url}: the bucket is in another region; {_REMEDIES['PermanentRedirect']}")
    tls = _TLS.search(text)
    if tls:
        why = tls["certificate"] or f"{tls['alert']} {tls['why']}"
        return StoreError(
            f"{url}: the TLS connection to the store failed ({why}): if a certificate authority of your own signs its "
            "certificate, name that authority's file in AWS_CA_BUNDLE or SSL_CERT_FILE"
        )
    reason = None if isinstance(error, OSError) else _REASON.search(text)
    because = f" ({reason[1] or reason[2]})" if reason else ""
    return StoreError(f"{url}: the store does not answer as it should: {_first_line(text)}{because}")


def _said(code: str, body: str) -> str:
    """Return what the store said: its code in parentheses, its message, and what to do about it."""
    if not code:
        return ""
    from html import unescape  # only for an error

    message, remedy = _MESSAGE.search(body), _REMEDIES.get(code)
    said = f" ({code}): {unescape(message[1]).rstrip('.')}" if message else f" ({code})"
    return f"{said}; {remedy}" if remedy else said


def _first_line(text: str) -> str:
    return text.partition("\n")[0].partition(": <?xml")[0].strip()
