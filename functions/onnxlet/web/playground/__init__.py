"""The playground: a page to try the models on, made of files that are served as they are."""

import os
from functools import cache

from onnxlet.errors import NotFoundError
from onnxlet.http import Response

INDEX = "index.html"

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",  # the latter is ONNX Runtime in the browser
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing of another host, no script inside of the page, and the page inside of no other."""

HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
}

FOLDER = os.path.dirname(__file__)


def serve(name: str) -> Response:
    """A file of the page.

    Raises:
        NotFoundError: the page has no such file.
    """
    if name not in names():
        raise NotFoundError(f"playground/{name:.200}: the page has no such file")
    with open(os.path.join(FOLDER, name), "rb") as file:
        return Response(200, file.read(), MEDIA_TYPES[name.rpartition(".")[2]], HEADERS)


@cache
def names() -> frozenset[str]:
    """The names of the page's files."""
    return frozenset(name for name in os.listdir(FOLDER) if name.rpartition(".")[2] in MEDIA_TYPES)
