"""GCP's requests and events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: functions-framework's contract (a Flask request; a CloudEvent) and the CloudEvent type
`google.cloud.storage.object.v1.finalized`, or `google.cloud.pubsub.topic.v1.messagePublished`; Cloud Storage, "Pub/Sub
notifications", attributes.
"""

import sys
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet.events.sources import Inline, Message, ObjectReference
from onnxlet.http import Request, Response, check_length, merged
from onnxlet.limits import MAX_BODY_BYTES

DRAINED_BYTES = 64 * 1024
"""Of a body that is not kept, at a time."""

STORAGE = "google.cloud.storage.object.v1."
NEW_MESSAGE = "google.cloud.pubsub.topic.v1.messagePublished"
NEW_OBJECT = "google.cloud.storage.object.v1.finalized"


def register(http: Callable[..., Any], *events: Callable[..., Any]) -> None:
    """Tell functions-framework which entry points take a request and which take a CloudEvent, if it is running.

    Without this FUNCTION_SIGNATURE_TYPE decides, whose value depends on who deploys: with `event` a function gets two
    arguments, and with `http` a request. If functions-framework is not loaded, as on AWS, nothing is imported.
    """
    framework = sys.modules.get("functions_framework")
    if framework is not None:
        framework.http(http)
        for function in events:
            framework.cloud_event(function)


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


def from_response(response: Response, request: Any = None) -> tuple[bytes | Iterator[bytes], int, dict[str, str]]:
    """The answer as Flask takes it from a view.

    What is left of the request's body is read and forgotten: functions-framework would keep all of it.
    """
    while request is not None and request.stream.read(DRAINED_BYTES):
        pass
    empty: Iterator[bytes] = iter(())
    body = empty if "content-length" in response.headers else response.body  # of bytes Flask sets the length itself
    return body, response.status, {"content-type": response.content_type, **response.headers}


def to_object(cloud_event: Any) -> Message:
    """Read a CloudEvent of Cloud Storage: the object that was finalized; its other events speak of no new object.

    Raises:
        InvalidRequestError: another event.
    """
    kind = _type_of(cloud_event)
    if kind == NEW_MESSAGE:
        return to_message(cloud_event)
    if not kind.startswith(STORAGE):
        raise InvalidRequestError(
            f"expected a CloudEvent of Cloud Storage with data.bucket and data.name, got {kind:.80}"
        )
    if kind != NEW_OBJECT:
        return Message(None)
    try:
        data = cloud_event.data
        return Message(
            None, (ObjectReference("gs", data["bucket"], data["name"], _generation(data.get("generation"))),)
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a CloudEvent of Cloud Storage with data.bucket and data.name") from error


def to_message(cloud_event: Any) -> Message:
    """Read a CloudEvent of Pub/Sub: a notification of Cloud Storage, or a payload.

    A notification names a bucket and an object; of these only that of a finalized object is answered. A payload may
    have any attributes of its own, of which `content-type`, in upper or lower case, says what it is.

    Raises:
        InvalidRequestError: another event, or data that are not base64.
    """
    if _type_of(cloud_event).startswith(STORAGE):
        return to_object(cloud_event)
    try:
        message = cloud_event.data["message"]
        attributes = message.get("attributes") or {}
        kind = str(attributes.get("eventType", ""))
        if not (kind.startswith("OBJECT_") and attributes.get("bucketId") and attributes.get("objectId")):
            return Message(None, (_inline(message, attributes, cloud_event["source"]),))
        if kind != "OBJECT_FINALIZE":
            return Message(None)
        generation = _generation(attributes.get("objectGeneration"))
        return Message(None, (ObjectReference("gs", attributes["bucketId"], attributes["objectId"], generation),))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a message of Pub/Sub, with a notification or a payload") from error


def _type_of(cloud_event: Any) -> str:
    try:
        return str(cloud_event["type"])
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError(f"expected a CloudEvent with a type: {error!r}") from error


def _generation(value: Any) -> Any:
    """The generation of an object, which some senders write as a number."""
    return str(value) if type(value) is int else value


def _inline(message: Mapping[str, Any], attributes: Mapping[str, str], source: str) -> Inline:
    message_id = message.get("messageId") or message["message_id"]
    try:
        body = b64decode(message.get("data") or "", validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidRequestError(f"message {message_id}: expected data as base64: {error}") from error
    media_type = next((value for name, value in attributes.items() if name.lower() == "content-type"), "")
    return Inline(f"{source}/messages/{message_id}", f"messages/{message_id}", body, media_type)
