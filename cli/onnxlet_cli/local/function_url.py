"""A Function URL: HTTP in front of a Lambda function, with its events, base64 rules and limits.

Source: AWS Lambda developer guide, "Invoking Lambda function URLs" (payload format 2.0) and "Lambda quotas".
"""

import json
import logging
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

from onnxlet_cli.local.http import HOST, Handler, serving
from onnxlet_cli.local.runtime_api import FunctionError

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""The largest event of a synchronous invocation, including its JSON and base64."""

TOO_LARGE = f"Request must be smaller than {MAX_EVENT_BYTES} bytes for the InvokeFunction operation"

MAX_DRAINED_BYTES = 64 * 1024 * 1024
DRAIN_CHUNK_BYTES = 64 * 1024

logger = logging.getLogger("onnxlet")

TEXT_TYPES = ("application/json", "application/javascript", "application/xml")


@contextmanager
def serve_function_url(invoke: Callable[[object], Any], port: int = 0) -> Iterator[str]:
    """Answer HTTP requests with the results of `invoke`, and yield the URL."""

    class UrlHandler(Handler):
        def answer(self) -> None:
            body = _read_body(self)
            if body is None:
                return
            path, _, query = self.path.partition("?")
            event = to_event(self.command, path, query, self.headers, body)
            if len(json.dumps(event)) > MAX_EVENT_BYTES:
                _refuse(self, 413, TOO_LARGE)
                return
            try:
                status, headers, reply = from_result(invoke(event))
            except (FunctionError, ValueError, TypeError, AttributeError) as error:
                logger.warning("the function failed: %s", error)
                _refuse(self, 502, "Internal Server Error")
                return
            self.reply(status, reply, headers)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

    with serving(UrlHandler, port) as url:
        yield url


def to_event(method: str, path: str, query: str, headers: Message, body: bytes) -> dict[str, Any]:
    """Return the event of payload format 2.0 for a request; `path` and `query` are the received bytes."""
    names = {name.lower() for name in headers}
    text = _text_of(body, headers.get_content_type() if "content-type" in headers else "")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name: ",".join(headers.get_all(name, [])) for name in sorted(names)},
        "requestContext": {
            "accountId": "anonymous",
            "domainName": headers.get("host", HOST),
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": HOST,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "body": (b64encode(body).decode() if text is None else text) if body else None,
        "isBase64Encoded": bool(body) and text is None,
    }


def from_result(result: Any) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a function's result.

    Raises:
        ValueError, TypeError, AttributeError: It is not a result of payload format 2.0.
    """
    status = result.get("statusCode")
    body = result.get("body", "")
    if not isinstance(status, int) or not isinstance(body, str):
        raise TypeError(f"expected a result with statusCode and body, got {str(result)[:200]}")
    return status, result.get("headers", {}), b64decode(body) if result.get("isBase64Encoded") else body.encode()


def _text_of(body: bytes, media_type: str) -> str | None:
    """Return the body as text if Lambda passes it as text, else None."""
    is_text = media_type.startswith("text/") or media_type in TEXT_TYPES or media_type.endswith(("+json", "+xml"))
    if not is_text:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _read_body(handler: Handler) -> bytes | None:
    """Return the request's body; None if the request was refused already."""
    if "transfer-encoding" in handler.headers:
        _refuse(handler, 411, "Length Required")
        return None
    length = handler.headers.get("content-length", "0")
    if not length.isdigit():
        _refuse(handler, 400, "Bad Request")
        return None
    if int(length) > MAX_EVENT_BYTES:
        _drain(handler, min(int(length), MAX_DRAINED_BYTES))
        _refuse(handler, 413, TOO_LARGE)
        return None
    return handler.rfile.read(int(length))


def _drain(handler: Handler, length: int) -> None:
    """Read and discard a body: a client that is still sending does not read the response."""
    while length > 0 and (chunk := handler.rfile.read(min(length, DRAIN_CHUNK_BYTES))):
        length -= len(chunk)


def _refuse(handler: Handler, status: int, message: str) -> None:
    """Respond as Lambda itself does, without the function; closing the connection discards unread bytes."""
    handler.close_connection = True
    headers = {"content-type": "application/json", "connection": "close"}
    handler.reply(status, json.dumps({"Message": message}).encode(), headers)
