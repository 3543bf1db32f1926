"""A server that sends no response: the ways in which a request can fail, each with its remedy."""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from onnxlet_cli import http_client
from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.http_client import TIMEOUT_S, Response


@dataclass(frozen=True)
class Unreached:
    """Why no response came."""

    code: str
    found: str
    expected: str
    remedy: str

    def finding(self, where: str) -> Finding:
        """Return this as a finding."""
        return error(self.code, where, self.found, self.expected, self.remedy)


def send(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Response | Unreached:
    """Send a request as `http_client.send`, and return the reason if no response comes."""
    try:
        return http_client.send(url, body, headers, method=method, timeout_s=timeout_s)
    except ServiceError as error:
        return _explain(urlsplit(url).netloc, error)


def _explain(host: str, error: ServiceError) -> Unreached:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        remedy = "is it https at all, is the certificate for this host, and does this machine trust its issuer?"
        return Unreached("url_tls", f"no TLS with {host}: {cause}", "a certificate that is trusted here", remedy)
    if isinstance(cause, socket.gaierror):
        remedy = "is the URL complete, and the function still there?"
        return Unreached("url_unknown_host", f"no address for {host}", "a host that DNS knows", remedy)
    if isinstance(cause, TimeoutError):
        remedy = "raise the function's timeout, or read its log; is there a firewall between?"
        return Unreached("url_timeout", "no answer in time", f"one within {TIMEOUT_S} s", remedy)
    remedy = "is it started, and is this the right host and port?"
    return Unreached("url_unreachable", f"{host}: {str(cause) or type(cause).__name__}", "an answer", remedy)
