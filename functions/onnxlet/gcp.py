"""GCP's requests and events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: functions-framework's contract (a Flask request; a CloudEvent) and the CloudEvent type
`google.cloud.storage.object.v1.finalized`, or `google.cloud.pubsub.topic.v1.messagePublished`; Cloud Storage, "Pub/Sub
notifications", attributes.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from onnxlet.config import MAX_BODY_BYTES
from onnxlet.errors import InvalidRequestError
from onnxlet.http import JSON, Request, Response, check_length, merged
from onnxlet.sources import Inline, Message, ObjectReference

DRAINED_BYTES = 64 * 1024
"""Of a body that is not kept, at a time."""

NEW_OBJECT = "google.cloud.storage.object.v1.finalized"


def to_request(request: Any) -> Request:
    """Read a Flask request; Flask itself is not imported.

    Raises:
        TooLargeError: the body is over the limit; no more than that is kept.
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
    """The body, or a little more of it than the limit where nobody said how long it is."""
    if request.content_length is not None:
        body: bytes = request.stream.read()
        return body
    pieces, size_bytes = [], 0
    while size_bytes <= MAX_BODY_BYTES and (piece := request.stream.read(DRAINED_BYTES)):
        pieces.append(piece)
        size_bytes += len(piece)
    return b"".join(pieces)


def from_response(response: Response, request: Any = None) -> tuple[bytes, int, dict[str, str]]:
    """The answer as Flask takes it from a view.

    What is left of the request's body is read and forgotten: functions-framework would keep all of it.
    """
    while request is not None and request.stream.read(DRAINED_BYTES):
        pass
    return response.body, response.status, {"content-type": response.content_type, **response.headers}


def to_object(cloud_event: Any) -> Message:
    """Read a CloudEvent of Cloud Storage: the object that was finalized; events of other types speak of no new object.

    Raises:
        InvalidRequestError: another event.
    """
    try:
        if cloud_event["type"] != NEW_OBJECT:
            return Message(None)
        data = cloud_event.data
        return Message(None, (ObjectReference("gs", data["bucket"], data["name"], data.get("generation")),))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a CloudEvent of Cloud Storage with data.bucket and data.name") from error


def to_message(cloud_event: Any) -> Message:
    """Read a CloudEvent of Pub/Sub: a notification of Cloud Storage, or a payload.

    Of the notifications only that of a finalized object is answered. A payload's attribute `content-type` says what it
    is; without one its first bytes do.

    Raises:
        InvalidRequestError: another event, or data that are not base64.
    """
    try:
        message = cloud_event.data["message"]
        attributes = message.get("attributes") or {}
        if "eventType" not in attributes:
            return Message(None, (_inline(message, attributes, cloud_event["source"]),))
        if attributes["eventType"] != "OBJECT_FINALIZE":
            return Message(None)
        names = attributes["bucketId"], attributes["objectId"], attributes.get("objectGeneration")
        return Message(None, (ObjectReference("gs", *names),))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a message of Pub/Sub, with a notification or a payload") from error


def _inline(message: Mapping[str, Any], attributes: Mapping[str, str], source: str) -> Inline:
    message_id = message.get("messageId") or message["message_id"]
    try:
        body = b64decode(message.get("data") or "", validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidRequestError(f"message {message_id}: expected data as base64: {error}") from error
    media_type = attributes.get("content-type") or (JSON if body[:1] in {b"{", b"["} else "")
    return Inline(f"{source}/messages/{message_id}", f"messages/{message_id}", body, media_type)
