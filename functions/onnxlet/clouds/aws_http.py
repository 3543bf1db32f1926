"""AWS's HTTP events in, responses out: pure translations to and from `onnxlet.http`.

Source: AWS Lambda developer guide, "Invoking function URLs" (payload format 2.0), "Lambda integration for REST APIs"
(payload format 1.0) and "Using Lambda with an Application Load Balancer".
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import orjson

from onnxlet.errors import InvalidRequestError, TooLargeError
from onnxlet.http import JSON, Request, Response, merged
from onnxlet.limits import MAX_BODY_BYTES

MAX_BALANCED_BYTES = 1024 * 1024 - 16 * 1024
"""The largest response body through a load balancer: its limit of 1 MiB, less 16 KiB for the JSON around the body."""

RequestLine = tuple[str, str, dict[str, str], dict[str, str]]
"""Method, path, query and headers."""


def to_request(event: Mapping[str, Any]) -> Request:
    """Translate an event of a Function URL, an HTTP API, a REST API or a load balancer, or a direct invocation.

    A direct invocation has no HTTP around it: the event itself is the JSON body.

    Raises:
        InvalidRequestError: the event has another form, or its body is not the base64 that it claims to be.
        TooLargeError: the body is larger than `MAX_BODY_BYTES`.
    """
    if is_direct(event):
        return Request("POST", "/invocations", _to_json(event), {"content-type": JSON})
    try:
        method, path, query, headers = _payload_1(event) if "httpMethod" in event else _payload_2(event)
        path, base_path = _split_base(path, event)
        context = event["requestContext"]
        request_id, text = context.get("requestId") or "", event.get("body") or ""
        # Fails for anything but strings, and for half a surrogate pair: neither a log nor a header could contain it.
        "".join((method, path, request_id, text, *headers, *headers.values(), *query, *query.values())).encode()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"expected an HTTP event of payload format 1.0 or 2.0: {error!r:.300}") from error
    body = _to_body(text, is_base64=bool(event.get("isBase64Encoded")))
    limit_bytes = MAX_BALANCED_BYTES if "elb" in context else None
    return Request(method, path, body, headers, query, request_id or None, base_path, limit_bytes)


def from_response(response: Response, event: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a response to the form that belongs to the event: text as it is, any other body as base64.

    A direct invocation gets the JSON document itself.
    """
    is_text = response.is_text
    if is_direct(event) and is_text:
        document: dict[str, Any] = orjson.loads(response.body)
        return document
    headers = {"content-type": response.content_type, **response.headers}
    answer = {
        "statusCode": response.status,
        "headers": headers,
        "body": response.body.decode() if is_text else b64encode(response.body).decode(),
        "isBase64Encoded": not is_text,
    }
    if isinstance(event, Mapping) and "multiValueHeaders" in event:  # a load balancer then ignores `headers`
        answer["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return answer


def is_direct(event: object) -> bool:
    """Return whether a client called Lambda's Invoke itself: no service has wrapped the event."""
    return isinstance(event, Mapping) and "requestContext" not in event and bool(event.keys() & {"inputs", "instances"})


def remaining_s(context: Any) -> float | None:
    """Return how long Lambda lets the invocation run on, in seconds; None without a context object."""
    return None if context is None else context.get_remaining_time_in_millis() / 1000


def _payload_2(event: Mapping[str, Any]) -> RequestLine:
    """Read payload format 2.0: Function URL and HTTP API."""
    context = event["requestContext"]
    path = event["rawPath"]
    stage = f"/{context.get('stage')}"
    if path.startswith(f"{stage}/"):  # the path contains a named stage, but never `$default`
        path = path.removeprefix(stage)
    return (
        context["http"]["method"],
        _decoded(path),
        _parse_query(event.get("rawQueryString")),
        merged((event.get("headers") or {}).items()),
    )


def _payload_1(event: Mapping[str, Any]) -> RequestLine:
    """Read payload format 1.0: REST API and load balancer. Headers and parameters have one value each, or a list."""
    many = event.get("multiValueHeaders")
    fields = ((name, value) for name, values in (many or {}).items() for value in values)
    headers = merged(fields if many else (event.get("headers") or {}).items())
    query = _first_values(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters"))
    if "elb" in event["requestContext"]:  # a load balancer does not decode the query
        query = {_decoded(name, is_query=True): _decoded(value, is_query=True) for name, value in query.items()}
    return event["httpMethod"], _decoded(event["path"]), query, headers


def _decoded(text: str, *, is_query: bool = False) -> str:
    """Return a text without its percent-encoding, and in a query with spaces for plus signs."""
    if not text.isascii() or "%" in text or "+" in text:
        from urllib.parse import unquote, unquote_plus  # 3 ms of a cold start, which most paths do not need

        return unquote_plus(text) if is_query else unquote(text)
    return text


def _parse_query(text: str | None) -> dict[str, str]:
    """Return the parameters of a query; the first value of a repeated parameter counts, as on GCP."""
    if not text:
        return {}
    from urllib.parse import parse_qsl

    return dict(reversed(parse_qsl(text, keep_blank_values=True)))


def _first_values(many: Mapping[str, list[str]] | None, single: Mapping[str, str] | None) -> dict[str, str]:
    return {name: values[0] for name, values in many.items() if values} if many else dict(single or {})


def _split_base(path: str, event: Mapping[str, Any]) -> tuple[str, str]:
    """Split off the prefix that a custom domain's mapping has put before a path; return the path and the prefix.

    Source: Amazon API Gateway, "Map stages to a custom domain name" and "Set up a proxy integration with a proxy
    resource": the greedy path parameter does not contain the prefix.
    """
    pattern = event.get("resource") or (event.get("routeKey") or "").rpartition(" ")[2]
    proxy = _decoded((event.get("pathParameters") or {}).get("proxy") or "")
    if pattern != "/{proxy+}" or not proxy or not path.endswith(f"/{proxy}"):
        return path, ""
    return f"/{proxy}", path.removesuffix(f"/{proxy}")


def _to_json(event: Mapping[str, Any]) -> bytes:
    try:
        document = orjson.dumps(event)
        return document if b"null" not in document else json.dumps(event).encode()  # orjson writes infinities as null
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"expected an event that JSON can represent: {error}") from error


def _to_body(body: str, *, is_base64: bool) -> bytes:
    if len(body) > (MAX_BODY_BYTES + 2) // 3 * 4:
        raise TooLargeError(f"expected a body of at most {MAX_BODY_BYTES} bytes, got {len(body)} characters")
    try:
        return b64decode(body, validate=True) if is_base64 else body.encode()
    except ValueError as error:
        raise InvalidRequestError(f"body: expected text, or base64 if isBase64Encoded is true: {error}") from error
