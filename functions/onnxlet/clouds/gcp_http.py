"""GCP's HTTP requests in, responses out: pure translations to and from `onnxlet.http`.

Source: functions-framework's contract: an HTTP function takes a Flask request.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from onnxlet.http import Request, Response, check_length, merged
from onnxlet.limits import MAX_BODY_BYTES

CHUNK_BYTES = 64 * 1024
"""The part of a body that is read at a time."""


def register(http: Callable[..., Any], *events: Callable[..., Any]) -> None:
    """Tell functions-framework, if it is running, which entry points take a request and which take a CloudEvent.

    Otherwise the variable FUNCTION_SIGNATURE_TYPE would decide, which the deployment sets: with `event` a function gets
    two arguments, with `http` a request. On AWS, where functions-framework is not loaded, nothing is imported.
    """
    framework = sys.modules.get("functions_framework")
    if framework is not None:
        framework.http(http)
        for function in events:
            framework.cloud_event(function)


def to_request(request: Any) -> Request:
    """Translate a Flask request.

    Raises:
        TooLargeError: the body is larger than `MAX_BODY_BYTES`.
    """
    check_length(request.content_length or 0)
    return Request(
        method=request.method,
        path=request.path,
        body=_read(request),
        headers=merged(request.headers.items()),
        query=request.args.to_dict() if request.query_string else {},
        id=request.headers.get("function-execution-id"),
    )


def _read(request: Any) -> bytes:
    """Read the body. If it has no stated length, stop a little above the limit."""
    if request.content_length is not None:
        body: bytes = request.stream.read()
        return body
    chunks, size_bytes = [], 0
    while size_bytes <= MAX_BODY_BYTES and (chunk := request.stream.read(CHUNK_BYTES)):
        chunks.append(chunk)
        size_bytes += len(chunk)
    return b"".join(chunks)


def from_response(response: Response, request: Any = None) -> tuple[bytes | Iterator[bytes], int, dict[str, str]]:
    """Translate a response to the tuple that Flask takes from a view.

    The rest of the request's body is read and dropped: functions-framework would keep all of it in memory.
    """
    while request is not None and request.stream.read(CHUNK_BYTES):
        pass
    # Flask sets the length of a body of bytes itself, but a response to HEAD states the length of GET's body.
    empty: Iterator[bytes] = iter(())
    body = empty if "content-length" in response.headers else response.body
    return body, response.status, {"content-type": response.content_type, **response.headers}
