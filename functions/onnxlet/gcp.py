"""GCP's requests and events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: functions-framework's contract (a Flask request; a CloudEvent) and the CloudEvent type
`google.cloud.storage.object.v1.finalized`, or `google.cloud.pubsub.topic.v1.messagePublished`.
"""

from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet.events import Message, ObjectReference
from onnxlet.http import Request, Response


def to_request(request: Any) -> Request:
    """Read a Flask request; Flask itself is not imported."""
    return Request(
        method=request.method,
        path=request.path,
        body=request.get_data(cache=False),
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict(),
    )


def from_response(response: Response) -> tuple[bytes, int, dict[str, str]]:
    """The answer as Flask takes it from a view."""
    return response.body, response.status, {"content-type": response.content_type, **response.headers}


def to_object(cloud_event: Any) -> Message:
    """Read a CloudEvent of Cloud Storage: the object that was finalized.

    Raises:
        InvalidRequestError: another event.
    """
    try:
        data = cloud_event.data
        return Message(None, (ObjectReference("gs", data["bucket"], data["name"], data.get("generation")),))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a CloudEvent of Cloud Storage with data.bucket and data.name") from error


def to_message(cloud_event: Any) -> Message:
    """Read a CloudEvent of Pub/Sub that carries a notification of Cloud Storage; only a finalized object is answered.

    Source: Cloud Storage, "Pub/Sub notifications", attributes.

    Raises:
        InvalidRequestError: another event.
    """
    try:
        attributes = cloud_event.data["message"]["attributes"]
        if attributes["eventType"] != "OBJECT_FINALIZE":
            return Message(None)
        names = attributes["bucketId"], attributes["objectId"], attributes.get("objectGeneration")
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a notification of Cloud Storage: eventType, bucketId, objectId") from error
    return Message(None, (ObjectReference("gs", *names),))
