"""The responses to errors: a text for a person, and a code for a program."""

from onnxlet.errors import OnnxletError, TooLargeError
from onnxlet.http import Response, to_json
from onnxlet.observe import log

OPENAI_PATHS = frozenset({"/v1/embeddings", "/v1/rerank"})
"""The paths whose clients read errors in OpenAI's form."""


def to_onnxlet_error(error: Exception) -> OnnxletError:
    """Return an error that a client may see. The details of any other error are only logged."""
    if isinstance(error, MemoryError):
        return TooLargeError("the request needs more memory than the function has left: request less at once")
    return log.to_onnxlet_error(error)


def to_response(error: OnnxletError, path: str = "") -> Response:
    """Return the response to an error, in the form of the path's protocol."""
    document: dict[str, object] = {"error": error.public, "code": error.code}
    if path in OPENAI_PATHS:
        kind = "server_error" if error.is_retryable else "invalid_request_error"
        document = {"error": {"message": error.public, "type": kind, "param": None, "code": error.code}}
    answer = to_json(document, error.status)
    return Response(answer.status, answer.body, answer.content_type, error.headers)
