"""Spill: a response that the platform cannot send is stored as an object, and the client gets its URL."""

from __future__ import annotations

import os

from onnxlet import notices
from onnxlet.errors import OnnxletError
from onnxlet.http import Response, to_json
from onnxlet.service import Service

PREFIX = "responses"
"""The prefix of stored responses, under the root of the results."""

LIFETIME_S = 60 * 60
"""The time for which a presigned URL is valid."""


def store(service: Service, response: Response, problem: str, *, has_redirect: bool) -> Response:
    """Store a response, and return a 303 that names the object.

    Args:
        service: The function's parts, of which the place for results is used.
        response: The response.
        problem: Why it cannot be sent.
        has_redirect: Whether the 303 redirects; else the client reads the URL in its document.
    """
    results = service.results
    key = f"{PREFIX}/{os.urandom(16).hex()}"
    results.put_if_absent(key, response.body)
    url = _presign(service, key)
    document = {
        "error": f"{problem}; it is stored as an object",  # Triton's client shows this text
        "code": "spilled",
        "object": f"{results.url}/{key}",
        "url": url,
        "expires_in_s": LIFETIME_S,
        "content_type": response.content_type,
        "headers": response.headers,
    }
    location = {"location": url} if url is not None and has_redirect else {}
    return Response(303, to_json(document).body, headers=location)


def _presign(service: Service, key: str) -> str | None:
    """Return a presigned URL, or None if none can be made: the client still learns where the object is."""
    from datetime import timedelta  # few responses are too large

    try:
        return service.results.sign(key, timedelta(seconds=LIFETIME_S))
    except OnnxletError as error:
        notices.warning("no presigned URL: %s", error)
        return None
