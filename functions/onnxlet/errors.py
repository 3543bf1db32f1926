"""The errors that a function answers with: each says what was expected, what was found, and where.

OnnxletError
├── InvalidRequestError      400  invalid_request       the request does not have the form that its route expects
│   ├── InvalidJsonError     400  invalid_json          the body is not JSON
│   ├── InvalidTensorError   400  invalid_tensor        a tensor's name, datatype, shape or data is wrong
│   └── InvalidNameError     400  invalid_name          a model, alias, version or URL cannot have this name
├── UnauthenticatedError     401  unauthenticated       the API key is missing or invalid
├── ForbiddenError           403  forbidden             the request names an object or a model that it may not use
├── NotFoundError            404  not_found             there is nothing at this path
│   ├── ModelNotFoundError   404  model_not_found       the registry has no such model, version or alias
│   ├── ObjectNotFoundError  404  object_not_found      the object store has no such key
│   └── BucketNotFoundError  404  bucket_not_found      the object store has no such bucket
├── MethodNotAllowedError    405  method_not_allowed    the path exists, but not for this method
├── TooLargeError            413  too_large             a body, an image or an answer is over its limit
├── UnsupportedMediaError    415  unsupported_media     the model does not take payloads of this type
├── UnreadablePayloadError   422  unreadable_payload    the payload is not what its type says
├── QuotaExceededError       429  quota_exceeded        the API key has no requests left today
├── InferenceError           422  inference_failed      ONNX Runtime could not run the model on these tensors
├── ConflictError            409  conflict              another writer was first
├── ManifestError            500  invalid_manifest      a document of the registry breaks the contract
├── UntrustedModelError      500  untrusted_model       no publisher that the function trusts signed the version
├── ArtifactError            500  invalid_artifact      bytes are not the published ones, or cannot be loaded
├── MissingLibraryError      500  missing_library       the function was packaged without a library that the model needs
├── MemoryBoundError         503  memory_bound          the model needs more memory than the function may use
├── BusyError                503  busy                  other requests hold the memory that this one needs
├── DeadlineError            504  deadline_exceeded     the function's time ended before the work was done
├── SettingsError            500  invalid_settings      an environment variable is missing or malformed
└── StoreError               503  store_unavailable     the object store does not answer, or refuses the request
    └── CredentialsError     503  no_credentials        the store refuses the credentials, or the function has none

`status` is the HTTP status of the response; `code` is the stable name that clients and alarms may rely on.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

MAX_TEXT_CHARACTERS = 1000
"""Longest text of an error: enough for two URLs and a reason, and far below both clouds' limits on a response."""

_IDENTITIES = r"arn:[^\s\"']+|[\w.+-]+@[\w.-]+\.gserviceaccount\.com|\b[0-9]{12}\b"
"""AWS ARNs and account numbers, and the addresses of Google service accounts."""

MAX_SHOWN_ITEMS = 16
"""Items of a list that an error shows."""
MAX_SHOWN_CHARACTERS = 80
"""Characters of a JSON value that an error shows."""

_JSON_WORDS = {type(None): "null", bool: "boolean", int: "number", float: "number", dict: "object", list: "list"}


def json_word(value: object) -> str:
    """Return JSON's name for the type of a value, which clients know better than Python's."""
    return _JSON_WORDS.get(type(value), "string")


def json_shown(value: object) -> str:
    """Return the beginning of a JSON value for an error; values below the first level appear as their types."""
    if isinstance(value, list):
        shown = [json_word(item) if isinstance(item, list) else json_shown(item) for item in value[:MAX_SHOWN_ITEMS]]
        return f"[{', '.join(shown)}]"[:MAX_SHOWN_CHARACTERS]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN_CHARACTERS])
    return repr(value)[:MAX_SHOWN_CHARACTERS] if isinstance(value, int | float) else json_word(value)


def one_line(text: str, at_most: int = MAX_TEXT_CHARACTERS) -> str:
    """Return at most `at_most` characters of a text that a client may have written, as one printable line.

    Line separators (U+2028) and lone surrogates are not printable: they become spaces, too.
    """
    text = text[:at_most]
    return text if text.isprintable() else "".join(character if character.isprintable() else " " for character in text)


class OnnxletError(Exception):
    """Base of the errors that onnxlet raises on purpose; the text is one line and safe to show to a client."""

    status = 500
    code = "internal"
    headers: Mapping[str, str] = MappingProxyType({})
    """HTTP headers of the response that tell a program what the text tells a person."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))

    @property
    def public(self) -> str:
        """The text for clients, without what only the operator's log may show."""
        return str(self)

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later: the cause is the function or its stores, not the request."""
        return self.status >= 500


class InvalidRequestError(OnnxletError):
    """The request does not have the form that its route expects."""

    status = 400
    code = "invalid_request"


class InvalidJsonError(InvalidRequestError):
    """The body is not JSON, or not a JSON object."""

    code = "invalid_json"


class InvalidTensorError(InvalidRequestError):
    """A tensor's name, datatype, shape or data does not fit the model."""

    code = "invalid_tensor"


class InvalidNameError(InvalidRequestError):
    """A model, alias, version or URL cannot have this name."""

    code = "invalid_name"


class UnauthenticatedError(OnnxletError):
    """The API key is missing or invalid; the text never says which, so that nobody can probe keys."""

    status = 401
    code = "unauthenticated"
    headers = MappingProxyType({"www-authenticate": "Bearer"})  # RFC 9110, section 11.6.1; RFC 6750, section 3


class ForbiddenError(OnnxletError):
    """The request names an object or a model that it may not use."""

    status = 403
    code = "forbidden"


class NotFoundError(OnnxletError):
    """There is nothing at this path."""

    status = 404
    code = "not_found"


class ModelNotFoundError(NotFoundError):
    """The registry has no such model, version or alias."""

    code = "model_not_found"


class ObjectNotFoundError(NotFoundError):
    """The object store has no such key."""

    code = "object_not_found"


class BucketNotFoundError(NotFoundError):
    """The object store has no such bucket."""

    code = "bucket_not_found"


class MethodNotAllowedError(OnnxletError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, text: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.headers = {"allow": ", ".join(allowed)}  # RFC 9110, section 15.5.6


class TooLargeError(OnnxletError):
    """A body, an image or an answer is over its limit."""

    status = 413
    code = "too_large"


class UnsupportedMediaError(OnnxletError):
    """The model does not take payloads of this type."""

    status = 415
    code = "unsupported_media"

    def __init__(self, text: str, codings: Sequence[str] = ()) -> None:
        super().__init__(text)
        if codings:
            self.headers = {"accept-encoding": ", ".join(codings)}  # RFC 9110, section 15.5.16


class UnreadablePayloadError(OnnxletError):
    """The payload is not what its type says."""

    status = 422
    code = "unreadable_payload"


class QuotaExceededError(OnnxletError):
    """The API key has no requests left today."""

    status = 429
    code = "quota_exceeded"

    def __init__(self, text: str, retry_after_s: int = 0) -> None:
        super().__init__(text)
        self.headers = {"retry-after": str(retry_after_s)}


class InferenceError(OnnxletError):
    """ONNX Runtime could not run the model on these tensors."""

    status = 422
    code = "inference_failed"


class ConflictError(OnnxletError):
    """Another writer was first."""

    status = 409
    code = "conflict"


class ManifestError(OnnxletError):
    """A document of the registry breaks the contract."""

    code = "invalid_manifest"


class UntrustedModelError(OnnxletError):
    """No publisher that the function trusts signed the version."""

    code = "untrusted_model"


class ArtifactError(OnnxletError):
    """Bytes are not the published ones, or ONNX Runtime cannot load them."""

    code = "invalid_artifact"


class MissingLibraryError(OnnxletError):
    """The function was packaged without a library that the model needs."""

    code = "missing_library"


class MemoryBoundError(OnnxletError):
    """The model needs more memory than the function may use."""

    status = 503
    code = "memory_bound"


class BusyError(OnnxletError):
    """Other requests hold the memory that this one needs."""

    status = 503
    code = "busy"
    headers = MappingProxyType({"retry-after": "1"})


class DeadlineError(OnnxletError):
    """The function's time ended before the work was done."""

    status = 504
    code = "deadline_exceeded"


class SettingsError(OnnxletError):
    """An environment variable is missing or malformed."""

    code = "invalid_settings"

    def __init__(self, text: str, *, is_loop: bool = False) -> None:
        super().__init__(text)
        self.is_loop = is_loop
        """Whether results would be written among the inputs, and so become events again."""


class StoreError(OnnxletError):
    """The object store does not answer, or refuses the request."""

    status = 503
    code = "store_unavailable"

    @property
    def public(self) -> str:
        """The text without the accounts and roles that the store's own message may name."""
        return re.sub(_IDENTITIES, "(see the function's log)", str(self))


class CredentialsError(StoreError):
    """The object store refuses the credentials, or the function has none."""

    code = "no_credentials"
