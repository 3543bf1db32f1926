"""HTTP requests of the command: every status is a response, and no redirect is followed unless the caller wants it.

The standard library's client reads the proxies and the certificates that the environment names.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from onnxlet_cli.errors import ServiceError

TIMEOUT_S = 60
"""The time for a cold start with a large model, and for its response."""


@dataclass(frozen=True)
class Response:
    """A response of any status."""

    status: int
    headers: Mapping[str, str]
    """The headers by lower-case names."""
    body: bytes


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """A redirect is a response of its own: a sign-in page must not pass for the function."""

    def redirect_request(self, *_arguments: object) -> None:
        """Follow no redirect."""


_DIRECT = urllib.request.build_opener(_Unfollowed)
_FOLLOWING = urllib.request.build_opener()


def send(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str | None = None,
    timeout_s: float = TIMEOUT_S,
    follows_redirects: bool = False,
) -> Response:
    """Send a request and return its response; without a method it is a GET, or a POST if there is a body.

    Raises:
        ServiceError: no response came; the socket's or the protocol's error is the cause.
    """
    opener = _FOLLOWING if follows_redirects else _DIRECT
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 - of http, or an error
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return _read(response)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error)
    except urllib.error.URLError as error:
        cause = error.reason if isinstance(error.reason, Exception) else error
        raise ServiceError(f"{url}: no response: {cause}", url=url) from cause
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(f"{url}: no response: {error or type(error).__name__}", url=url) from error


def _read(response: http.client.HTTPResponse | urllib.error.HTTPError) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status or 0, headers, response.read())
