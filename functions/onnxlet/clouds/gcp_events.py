"""GCP's CloudEvents in: pure translations to `onnxlet.events`.

Source: the CloudEvent types `google.cloud.storage.object.v1.finalized` and
`google.cloud.pubsub.topic.v1.messagePublished`; Cloud Storage, "Pub/Sub notifications", attributes.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet.events.messages import Inline, Message, ObjectReference

STORAGE = "google.cloud.storage.object.v1."
NEW_MESSAGE = "google.cloud.pubsub.topic.v1.messagePublished"
NEW_OBJECT = "google.cloud.storage.object.v1.finalized"


def to_object(cloud_event: Any) -> Message:
    """Translate a CloudEvent of Cloud Storage. Only the event of a finalized object names a new object.

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
        return _to_message(data["bucket"], data["name"], data.get("generation"))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a CloudEvent of Cloud Storage with data.bucket and data.name") from error


def to_message(cloud_event: Any) -> Message:
    """Translate a CloudEvent of Pub/Sub: a notification of Cloud Storage, or a payload.

    A notification names a bucket and an object; only the notification of a finalized object is answered. The attribute
    `content-type` of a payload, in upper or lower case, is its media type.

    Raises:
        InvalidRequestError: another event, or data that is not base64.
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
        return _to_message(attributes["bucketId"], attributes["objectId"], attributes.get("objectGeneration"))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a message of Pub/Sub, with a notification or a payload") from error


def _type_of(cloud_event: Any) -> str:
    try:
        return str(cloud_event["type"])
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError(f"expected a CloudEvent with a type: {error!r}") from error


def _to_message(bucket: Any, key: Any, generation: Any) -> Message:
    """Return a message about one object; some senders write its generation as a number."""
    version = str(generation) if type(generation) is int else generation
    return Message(None, (ObjectReference("gs", bucket, key, version),))


def _inline(message: Mapping[str, Any], attributes: Mapping[str, str], source: str) -> Inline:
    message_id = message.get("messageId") or message["message_id"]
    try:
        body = b64decode(message.get("data") or "", validate=True)
    except ValueError as error:
        raise InvalidRequestError(f"message {message_id}: expected data as base64: {error}") from error
    media_type = next((value for name, value in attributes.items() if name.lower() == "content-type"), "")
    return Inline(f"{source}/messages/{message_id}", f"messages/{message_id}", body, media_type)
