"""GCP's requests and events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: functions-framework's contract (a Flask request; a CloudEvent) and the CloudEvent type
`google.cloud.storage.object.v1.finalized`.
"""

from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet.events import ObjectReference
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


def to_object(cloud_event: Any) -> ObjectReference:
    """Read a CloudEvent of Cloud Storage: the object that was finalized.

    Raises:
        InvalidRequestError: another event.
    """
    try:
        data = cloud_event.data
        return ObjectReference("gs", data["bucket"], data["name"], data.get("generation"))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError("expected a CloudEvent of Cloud Storage with data.bucket and data.name") from error
