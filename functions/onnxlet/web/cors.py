"""CORS: the headers by which browsers ask which pages of other origins may read responses, and the replies.

Credentials (cookies, client certificates) are never allowed: a page sends its API key in a header.

Source: WHATWG, "Fetch Standard" (CORS protocol).
"""

import re
from collections.abc import Mapping, Sequence

from onnxlet.settings.origins import ANY

METHODS = "GET, HEAD, POST"
"""The methods of all routes."""

EXPOSED = ", ".join(
    (
        "allow",
        "inference-header-content-length",
        "onnxlet-model",
        "onnxlet-seed",
        "onnxlet-truncated",
        "onnxlet-version",
        "retry-after",
        "server-timing",
        "traceparent",
        "www-authenticate",
        "x-request-id",
    )
)
"""The response headers that a script may read in addition to those that browsers always expose."""

MAX_AGE_S = 7200
"""The time for which a browser may remember the response to a preflight request: Chromium's own maximum."""

PREFLIGHT_VARY = "origin, access-control-request-method, access-control-request-headers"

_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*", re.ASCII)


class Cors:
    """The origins whose pages may read responses."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request's headers say that it comes from a page of an allowed origin."""
        origin = headers.get("origin")
        return origin is not None and (ANY in self._origins or origin in self._origins)

    def preflight(self, method: str, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Return the headers of the response to a preflight request; None for any other request.

        A browser sends a preflight request without a key and for any path, even one without a route, so that the page
        can read the error. It sends the request itself only if the response names its origin, method and headers.
        """
        if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
            return None
        allowed = {"vary": PREFLIGHT_VARY}
        if not self.allows(headers):
            return allowed
        requested = headers.get("access-control-request-headers", "").strip()
        if _TOKENS.fullmatch(requested):
            allowed["access-control-allow-headers"] = requested
        return {
            **allowed,
            "access-control-allow-methods": METHODS,
            "access-control-max-age": str(MAX_AGE_S),
        }

    def headers(self, request: Mapping[str, str], response: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that let a page read a response, whatever its status.

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
