"""A server that sends no response: the ways in which a request can fail, each with its remedy."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.http_client import TIMEOUT_S


def explained(findings: Iterator[Finding], where: str) -> Iterator[Finding]:
    """Yield findings; if a request for them gets no response, end with the reason."""
    try:
        yield from findings
    except ServiceError as problem:
        yield _explain(problem, where)


def _explain(problem: ServiceError, where: str) -> Finding:
    host, cause = urlsplit(problem.url or "").netloc, problem.__cause__
    if isinstance(cause, ssl.SSLError):
        remedy = "is it https at all, is the certificate for this host, and does this machine trust its issuer?"
        return error("url_tls", where, f"no TLS with {host}: {cause}", "a certificate that is trusted here", remedy)
    if isinstance(cause, socket.gaierror):
        remedy = "is the URL complete, and the function still there?"
        return error("url_unknown_host", where, f"no address for {host}", "a host that DNS knows", remedy)
    if isinstance(cause, TimeoutError):
        remedy = "raise the function's timeout, or read its log; is there a firewall between?"
        return error("url_timeout", where, "no answer in time", f"one within {TIMEOUT_S} s", remedy)
    found, remedy = str(cause) or type(cause).__name__, "is it started, and is this the right host and port?"
    return error("url_unreachable", where, f"{host}: {found}", "an answer", remedy)
