"""CORS: which pages of other origins may read the answers, in the headers by which browsers ask and are told.

Credentials (cookies, client certificates) are never allowed: a page sends its API key in a header.

Source: WHATWG, "Fetch Standard" (CORS protocol) and "URL Standard" (host serializing, default ports).
"""

import re
from collections.abc import Mapping, Sequence

from onnxlet.errors import SettingsError

ANY = "*"
"""In place of a list: pages of every origin."""

METHODS = "GET, HEAD, POST"
"""What the routes answer."""

EXPOSED = ", ".join(
    (
        "allow",
        "inference-header-content-length",
        "onnxlet-model",
        "onnxlet-seed",
        "onnxlet-version",
        "retry-after",
        "server-timing",
        "traceparent",
        "www-authenticate",
        "x-request-id",
    )
)
"""The response headers that a script may read beside those that browsers always show it."""

MAX_AGE_S = 7200
"""How long a browser may remember the answer to a preflight: Chromium's own bound."""

PREFLIGHT_VARY = "origin, access-control-request-method, access-control-request-headers"

DEFAULT_PORTS = {"http": "80", "https": "443"}
"""The ports that a browser leaves out of an origin."""

OPAQUE_SCHEMES = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"})
"""The schemes that no page's origin has: a browser calls such a page's origin `null`, if it shows one at all."""

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::(?P<port>[1-9][0-9]*))?", re.ASCII
)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*", re.ASCII)


class Cors:
    """The origins whose pages may read the answers."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Take the origins of the settings: `ANY` alone, or a list."""
        self._origins = frozenset(origins)

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request's headers say that it comes from a page of an allowed origin."""
        origin = headers.get("origin")
        return origin is not None and (ANY in self._origins or origin in self._origins)

    def preflight(self, method: str, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Return the headers that answer a browser's question before a request; None for any other request.

        A browser asks without a key and about any path, also about one that nothing answers, so that the page may read
        the error. It sends the request itself only if its origin, method and headers are in the answer.
        """
        if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
            return None
        answer = {"vary": PREFLIGHT_VARY}
        if not self.allows(headers):
            return answer
        requested = headers.get("access-control-request-headers", "").strip()
        if _TOKENS.fullmatch(requested):
            answer["access-control-allow-headers"] = requested
        return {
            **answer,
            "access-control-allow-methods": METHODS,
            "access-control-max-age": str(MAX_AGE_S),
        }

    def headers(self, request: Mapping[str, str], response: Mapping[str, str]) -> dict[str, str]:
        """Return the headers by which a page may read a response, whatever its status.

        Args:
            request: The request's headers.
            response: The response's headers.
        """
        if ANY in self._origins:
            return {"access-control-allow-origin": ANY, "access-control-expose-headers": EXPOSED}
        vary = response.get("vary", "")
        if "origin" not in {name.strip().lower() for name in vary.split(",")}:
            vary = f"{vary}, origin" if vary else "origin"
        if not self.allows(request):
            return {"vary": vary}
        return {
            "vary": vary,
            "access-control-allow-origin": request["origin"],
            "access-control-expose-headers": EXPOSED,
        }


def parse_origins(text: str) -> tuple[str, ...]:
    """Return the origins that a setting names, with spaces or commas between them.

    Raises:
        SettingsError: one of them is spelled as no browser spells it, so that it would never match.
    """
    origins = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if ANY in origins and len(origins) > 1:
        raise SettingsError(f"{ANY} beside others: expected {ANY} alone, for every page, or a list of origins")
    for origin in origins:
        problem = None if origin == ANY else _problem(origin)
        if problem is not None:
            raise SettingsError(f"{origin!r:.200}: expected an origin such as https://app.example.com, got {problem}")
    return origins


def _problem(origin: str) -> str | None:
    """Return why no browser sends an origin in this spelling, or None."""
    if origin == "null":
        return "null, which every sandboxed page and local file has"
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return _misspelling(origin)
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if scheme in OPAQUE_SCHEMES:
        return f"{scheme}:, which no page's origin has"
    if port is not None and (int(port[:6]) > 65_535 or DEFAULT_PORTS.get(scheme) == port):
        return f"the port {port:.10}, which " + ("does not exist" if int(port[:6]) > 65_535 else "browsers leave out")
    return None if _is_host(host) else f"the host {host:.80}, in another form than browsers send it"


def _misspelling(origin: str) -> str:
    """Return what is wrong with a text that has not the form of an origin."""
    if "://" not in origin:
        return "no scheme"
    if ANY in origin:
        return f"a pattern: name each origin, or {ANY} alone for all"
    if not origin.isascii():
        return "letters that browsers send in their ASCII form (xn--...)"
    if origin != origin.lower():
        return "capital letters, which browsers make small"
    if "/" in origin.partition("://")[2]:
        return "a path: an origin ends after its host and port, without a slash"
    return "another spelling"


def _is_host(host: str) -> bool:
    """Return whether a host is spelled as browsers spell it in an origin."""
    import ipaddress  # few origins are addresses

    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]" == host
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):  # then a browser reads all of it as an address
            return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
