"""The error tree: each error says what was found, what was expected and where.

OnnxletError
├── InvalidRequestError      400  invalid_request       the request is not of the form that its route takes
│   ├── InvalidJsonError     400  invalid_json          the body is not JSON
│   ├── InvalidTensorError   400  invalid_tensor        a tensor's name, datatype, shape or data is wrong
│   └── InvalidNameError     400  invalid_name          a model, alias or version is not a possible name
├── UnauthenticatedError     401  unauthenticated       no API key, or none that is good
├── ForbiddenError           403  forbidden             a reference or a model that a request may not name
├── NotFoundError            404  not_found             nothing answers at this path
│   ├── ModelNotFoundError   404  model_not_found       the registry has no such model, version or alias
│   ├── ObjectNotFoundError  404  object_not_found      the object store has no such key
│   └── BucketNotFoundError  404  bucket_not_found      the object store has no such bucket
├── MethodNotAllowedError    405  method_not_allowed    the path exists, for another method
├── TooLargeError            413  too_large             a body or an image over the stated limit
├── UnsupportedMediaError    415  unsupported_media     a payload of a kind that the model does not take
├── UnreadablePayloadError   422  unreadable_payload    the payload is not what its type says
├── QuotaExceededError       429  quota_exceeded        the API key has no request left today
├── InferenceError           422  inference_failed      ONNX Runtime could not run the model on these tensors
├── ConflictError            409  conflict              somebody else wrote first
├── ManifestError            500  invalid_manifest      a registry document breaks the contract
├── UntrustedModelError      500  untrusted_model       a version that nobody signed whom this function trusts
├── ArtifactError            500  invalid_artifact      bytes that are not the published ones, or that do not load
├── MemoryBoundError         503  memory_bound          the model needs more memory than the function may use
├── BusyError                503  busy                  other requests have taken the memory that this one needs
├── DeadlineError            504  deadline_exceeded     the function's time is over before the work is done
├── SettingsError            500  invalid_settings      an environment variable is missing or malformed
└── StoreError               503  store_unavailable     the object store does not answer, or not to us
    └── CredentialsError     503  no_credentials        the object store does not know or does not trust us

`status` is the HTTP status of the answer, `code` the stable name that clients and alarms may rely on.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

MAX_TEXT_CHARACTERS = 1000
"""Of an error: enough for two URLs and a reason, and far below what either cloud lets an answer be."""

_IDENTITIES = re.compile(r"arn:[^\s\"']+|[\w.+-]+@[\w.-]+\.gserviceaccount\.com|\b[0-9]{12}\b")
"""AWS's names of accounts, roles and keys, and Google's of service accounts."""


MAX_SHOWN_ITEMS = 16
MAX_SHOWN_CHARACTERS = 80

_JSON_WORDS = {type(None): "null", bool: "boolean", int: "number", float: "number", dict: "object", list: "list"}


def json_word(value: object) -> str:
    """Return what JSON calls a value's type: a client need not know Python's names."""
    return _JSON_WORDS.get(type(value), "string")


def json_shown(value: object) -> str:
    """Return the beginning of a JSON value as an error shows it; what lies deeper than one level is only named."""
    if isinstance(value, list):
        shown = [json_word(item) if isinstance(item, list) else json_shown(item) for item in value[:MAX_SHOWN_ITEMS]]
        return f"[{', '.join(shown)}]"[:MAX_SHOWN_CHARACTERS]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN_CHARACTERS])
    return repr(value)[:MAX_SHOWN_CHARACTERS] if isinstance(value, int | float) else json_word(value)


def one_line(text: str, at_most: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text as one line of printable characters, cut to `at_most`: a client may have written it.

    A line separator (U+2028) and a lone surrogate are not printable either.
    """
    text = text[:at_most]
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


class OnnxletError(Exception):
    """Any error that onnxlet raises on purpose; its text is one line, fit for a client."""

    status = 500
    code = "internal"
    headers: Mapping[str, str] = MappingProxyType({})
    """Of the answer, that say the same to a program."""

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later: the cause is not the request."""
        return self.status >= 500

    def __init__(self, text: str) -> None:
        """Take the text. It may quote what a client sent, so it is made one line of at most `MAX_TEXT_CHARACTERS`."""
        super().__init__(one_line(text))

    @property
    def public(self) -> str:
        """The text for a client of the function, who may not be shown all that the log is."""
        return str(self)


class InvalidRequestError(OnnxletError):
    """The request is not of the form that its route takes."""

    status = 400
    code = "invalid_request"


class InvalidJsonError(InvalidRequestError):
    """The body is not JSON, or not a JSON object."""

    code = "invalid_json"


class InvalidTensorError(InvalidRequestError):
    """A tensor's name, datatype, shape or data is not what the model takes."""

    code = "invalid_tensor"


class InvalidNameError(InvalidRequestError):
    """A model, alias or version is not a possible name."""

    code = "invalid_name"


class UnauthenticatedError(OnnxletError):
    """No API key, or none that is good; which of its faults it has is not said."""

    status = 401
    code = "unauthenticated"
    headers = MappingProxyType({"www-authenticate": "Bearer"})  # RFC 9110, section 11.6.1; RFC 6750, section 3


class ForbiddenError(OnnxletError):
    """A reference or a model that a request may not name."""

    status = 403
    code = "forbidden"


class NotFoundError(OnnxletError):
    """Nothing answers at this path."""

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
    """The path exists, for another method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, text: str, allowed: Sequence[str] = ()) -> None:
        """Take the text, and the methods that the path exists for."""
        super().__init__(text)
        self.headers = {"allow": ", ".join(allowed)}  # RFC 9110, section 15.5.6


class TooLargeError(OnnxletError):
    """A body or an image over the stated limit."""

    status = 413
    code = "too_large"


class UnsupportedMediaError(OnnxletError):
    """A payload of a kind that the model does not take."""

    status = 415
    code = "unsupported_media"

    def __init__(self, text: str, codings: Sequence[str] = ()) -> None:
        """Take the text and, where a content coding is refused, the codings that are accepted."""
        super().__init__(text)
        if codings:
            self.headers = {"accept-encoding": ", ".join(codings)}  # RFC 9110, section 15.5.16


class UnreadablePayloadError(OnnxletError):
    """The payload is not what its type says."""

    status = 422
    code = "unreadable_payload"


class QuotaExceededError(OnnxletError):
    """The API key has no request left today."""

    status = 429
    code = "quota_exceeded"

    def __init__(self, text: str, retry_after_s: int = 0) -> None:
        """Take the text, and how long until it has some again."""
        super().__init__(text)
        self.headers = {"retry-after": str(retry_after_s)}


class InferenceError(OnnxletError):
    """ONNX Runtime could not run the model on these tensors."""

    status = 422
    code = "inference_failed"


class ConflictError(OnnxletError):
    """Somebody else wrote first."""

    status = 409
    code = "conflict"


class ManifestError(OnnxletError):
    """A registry document breaks the contract."""

    code = "invalid_manifest"


class UntrustedModelError(OnnxletError):
    """A version that nobody signed whom this function trusts."""

    code = "untrusted_model"


class ArtifactError(OnnxletError):
    """Bytes that are not the published ones, or that ONNX Runtime does not load."""

    code = "invalid_artifact"


class MemoryBoundError(OnnxletError):
    """The model needs more memory than the function may use."""

    status = 503
    code = "memory_bound"


class BusyError(OnnxletError):
    """Other requests have taken the memory that this one needs."""

    status = 503
    code = "busy"
    headers = MappingProxyType({"retry-after": "1"})


class DeadlineError(OnnxletError):
    """The function's time is over before the work is done."""

    status = 504
    code = "deadline_exceeded"


class SettingsError(OnnxletError):
    """An environment variable is missing or malformed."""

    code = "invalid_settings"


class StoreError(OnnxletError):
    """The object store does not answer, or not to us."""

    status = 503
    code = "store_unavailable"

    @property
    def public(self) -> str:
        """The text without the accounts and roles that the store's own message may name."""
        return _IDENTITIES.sub("(see the function's log)", str(self))


class CredentialsError(StoreError):
    """The object store does not know or does not trust us."""

    code = "no_credentials"
