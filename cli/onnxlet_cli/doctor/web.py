"""HTTP requests to what may not answer: each way in which it does not is told apart."""

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlsplit

from onnxlet_cli.deploy.cloud import Reply
from onnxlet_cli.doctor.finding import Finding, error

TIMEOUT_S = 60
"""A cold start with a large model."""


@dataclass(frozen=True)
class Unreached:
    """Why nothing answered."""

    code: str
    found: str
    expected: str
    remedy: str

    def finding(self, where: str) -> Finding:
        """As a finding."""
        return error(self.code, where, self.found, self.expected, self.remedy)


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer of its own: a sign-in page must not pass for the function."""

    def redirect_request(self, *_arguments: object) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(_Unfollowed)


def ask(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Reply | Unreached:
    """Send a request: GET, or POST where there is a body."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 - the user's own URL
    try:
        with _OPENER.open(request, timeout=timeout_s) as reply:
            return Reply(reply.status, _lower(reply.headers), reply.read())
    except urllib.error.HTTPError as problem:
        with problem:
            return Reply(problem.code, _lower(problem.headers), problem.read())
    except urllib.error.URLError as problem:
        reason = problem.reason
        return _unreached(url, reason if isinstance(reason, Exception) else problem)
    except (OSError, http.client.HTTPException) as problem:
        return _unreached(url, problem)


def _unreached(url: str, problem: Exception) -> Unreached:
    host = urlsplit(url).netloc
    if isinstance(problem, ssl.SSLError):
        remedy = "is it https at all, is the certificate for this host, and does this machine trust its issuer?"
        return Unreached("url_tls", f"no TLS with {host}: {problem}", "a certificate that is trusted here", remedy)
    if isinstance(problem, socket.gaierror):
        remedy = "is the URL complete, and the function still there?"
        return Unreached("url_unknown_host", f"no address for {host}", "a host that DNS knows", remedy)
    if isinstance(problem, TimeoutError):
        remedy = "raise the function's timeout, or look at its log; is there a firewall between?"
        return Unreached("url_timeout", "no answer in time", f"one within {TIMEOUT_S} s", remedy)
    remedy = "is it started, and is this the right host and port?"
    return Unreached("url_unreachable", f"{host}: {problem or type(problem).__name__}", "an answer", remedy)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
