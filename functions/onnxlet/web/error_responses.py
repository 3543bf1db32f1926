"""The responses to errors: a text for a person, and a code for a program."""

from onnxlet.errors import OnnxletError, TooLargeError
from onnxlet.http import Response, to_json
from onnxlet.observe import log


def to_onnxlet_error(error: Exception) -> OnnxletError:
    """Return an error that a client may see. The details of any other error are only logged."""
    if isinstance(error, MemoryError):
        return TooLargeError("the request needs more memory than the function has left: request less at once")
    return log.to_onnxlet_error(error)


def to_response(error: OnnxletError) -> Response:
    """Return the response to an error."""
    answer = to_json({"error": error.public, "code": error.code}, error.status)
    return Response(answer.status, answer.body, answer.content_type, error.headers)
