"""AWS's events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: AWS Lambda developer guide, "Invoking function URLs" (payload format 2.0); Amazon S3 user guide, "Event message
structure".
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

from onnxlet.errors import InvalidRequestError
from onnxlet.events import ObjectReference
from onnxlet.http import Request, Response


def to_request(event: Mapping[str, Any]) -> Request:
    """Read a Function URL or HTTP API event, payload format 2.0.

    Raises:
        InvalidRequestError: another event, or a body that is not the base64 it claims to be.
    """
    try:
        http = event["requestContext"]["http"]
        method, path = http["method"], unquote(event["rawPath"])
    except (KeyError, TypeError) as error:
        raise InvalidRequestError("expected an HTTP event of payload format 2.0 (Function URL or HTTP API)") from error
    return Request(
        method=method,
        path=path,
        body=_to_body(event.get("body"), is_base64=bool(event.get("isBase64Encoded"))),
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        query=dict(reversed(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True))),  # the first counts
    )


def from_response(response: Response) -> dict[str, Any]:
    """The answer as payload format 2.0 takes it: JSON as text, anything else as base64."""
    is_text = response.content_type.startswith(("application/json", "text/"))
    return {
        "statusCode": response.status,
        "headers": {"content-type": response.content_type, **response.headers},
        "body": response.body.decode() if is_text else b64encode(response.body).decode(),
        "isBase64Encoded": not is_text,
    }


def to_objects(event: Mapping[str, Any]) -> list[ObjectReference]:
    """Read an S3 notification: the objects that it says were created.

    Raises:
        InvalidRequestError: another event.
    """
    if event.get("Event") == "s3:TestEvent":
        return []
    try:
        return [_to_object(record["s3"]) for record in event["Records"]]
    except (KeyError, TypeError) as error:
        raise InvalidRequestError(
            "expected an S3 notification: Records[].s3 with bucket.name and object.key"
        ) from error


def _to_object(notification: Mapping[str, Any]) -> ObjectReference:
    item = notification["object"]
    return ObjectReference("s3", notification["bucket"]["name"], unquote_plus(item["key"]), item.get("versionId"))


def _to_body(body: str | None, *, is_base64: bool) -> bytes:
    if not body:
        return b""
    if not is_base64:
        return body.encode()
    try:
        return b64decode(body, validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidRequestError(f"the body is marked as base64 and is not: {error}") from error
