"""The playground: a page for trying the models, whose files are served unchanged."""

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
        "script-src 'self' 'wasm-unsafe-eval'",  # ONNX Runtime in the browser is WebAssembly
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""The page loads nothing from other hosts and has no inline scripts, and no other page may frame it."""

HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "permissions-policy": "camera=(self), geolocation=(), microphone=(self)",
    "referrer-policy": "no-referrer",
}

FOLDER = os.path.dirname(__file__)


def serve(name: str) -> Response:
    """Return a file of the page.

    Raises:
        NotFoundError: the page has no such file.
    """
    if name not in names():
        raise NotFoundError(f"playground/{name:.200}: expected one of {', '.join(sorted(names()))}")
    with open(os.path.join(FOLDER, name), "rb") as file:
        return Response(200, file.read(), MEDIA_TYPES[name.rpartition(".")[2]], HEADERS)


@cache
def names() -> frozenset[str]:
    """Return the names of the page's files."""
    return frozenset(name for name in os.listdir(FOLDER) if name.rpartition(".")[2] in MEDIA_TYPES)
