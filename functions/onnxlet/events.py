"""An object in -> one result object out, however often the event is delivered."""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from onnxlet import payloads
from onnxlet.app import App, signature
from onnxlet.contract.document import to_json
from onnxlet.errors import ConflictError, OnnxletError, SettingsError
from onnxlet.http import MAX_BODY_BYTES
from onnxlet.models import Model
from onnxlet.store import Store, open_store

logger = logging.getLogger("onnxlet")

MAX_READABLE_BYTES = 800
"""Of an object's key in its result's key; the stores take 1,024 in all."""

MAX_PART_BYTES = 150
"""Of one part of it between slashes: file systems take 255, of which the rest of the result's key needs up to 97."""


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object that an event speaks of."""

    scheme: str
    """`s3` or `gs`."""
    bucket: str
    key: str
    """As it is, not URL-encoded."""
    version: str | None = None
    """S3's version id or Cloud Storage's generation; None where the bucket keeps no versions."""

    @property
    def bucket_url(self) -> str:
        """The root URL of the object's bucket."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def url(self) -> str:
        """The object's URL as it is, not encoded."""
        return f"{self.bucket_url}/{self.key}"


@dataclass(frozen=True, slots=True)
class Message:
    """What one delivery of an event brings."""

    id: str | None
    """By which the queue is told what failed; None for an event that came through no queue."""
    references: tuple[ObjectReference, ...] = ()
    error: OnnxletError | None = None
    """Why the message could not be read."""


def answer(app: App, messages: Sequence[Message]) -> list[str]:
    """Answer every object of every message; a message that fails does not keep the others from their results.

    Returns:
        The identifiers of the messages that the queue shall deliver again, or lay aside after so many times.

    Raises:
        OnnxletError: an event that came through no queue failed: the cloud delivers it again.
    """
    failed = []
    for message in messages:
        try:
            _answer_message(app, message)
        except Exception:
            if message.id is None:
                raise
            logger.exception("message %s failed", message.id)
            failed.append(message.id)
    return failed


def process(app: App, reference: ObjectReference) -> str | None:
    """Read an object, predict, and write one JSON result.

    What can never succeed (not an image, too large, gone) leaves a result that says so. What may succeed later (a store
    or a registry that does not answer) is raised, so that the platform delivers the event again.

    Returns:
        The URL of the result; None where the object is never answered: a result itself, or the empty object by which
        consoles mark a folder.

    Raises:
        OnnxletError: with a status of 500 or more, or because of the settings: deliver the event again.
    """
    results = _open_results(app, reference.bucket_url)
    if reference.key.endswith("/") or reference.url.startswith(f"{results.url}/"):
        return None
    model = app.default_model()
    document, etag = _answer_object(app, model, reference)
    key = result_key(reference, etag, model)
    with suppress(ConflictError):  # an earlier delivery of the same event has answered it
        results.put_if_absent(key, to_json(document))
    return f"{results.url}/{key}"


def result_key(reference: ObjectReference, etag: str | None, model: Model) -> str:
    """The key of the result: the same for every delivery of one object's one version to one version of the model."""
    name, version = model.manifest.model, model.manifest.version
    identity = "\0".join([reference.url, reference.version or "", etag or "", name, str(version)])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"{_readable(reference.key)}.{name}-{version}.{digest}.json"


def _answer_message(app: App, message: Message) -> None:
    if message.error is not None:
        raise message.error
    for reference in message.references:
        process(app, reference)


def _readable(key: str) -> str:
    """The object's key as far as every store takes it as a part of another; the digest tells the rest apart."""
    printable = "".join(character if character.isprintable() else "_" for character in key)
    parts = [_cut(part, MAX_PART_BYTES) for part in printable.split("/") if part not in {"", ".", ".."}]
    return _cut("/".join(parts), MAX_READABLE_BYTES)


def _cut(text: str, at_most_bytes: int) -> str:
    return text.encode()[:at_most_bytes].decode("utf-8", "ignore")


def _answer_object(app: App, model: Model, reference: ObjectReference) -> tuple[dict[str, Any], str | None]:
    """The result's document, and the etag of the bytes that it speaks of."""
    etag: str | None = None
    outcome: dict[str, Any]
    try:
        bucket = open_store(reference.bucket_url, app.settings.storage)
        stored = bucket.read(reference.key, reference.version, at_most=MAX_BODY_BYTES)
        etag = stored.revision.etag
        outcome = {"predictions": payloads.predict(model, payloads.media_type_of(reference.key), stored.data)}
    except OnnxletError as error:
        if error.status >= 500:
            raise
        outcome = {"error": str(error), "code": error.code}
    identity = {"version": reference.version, "etag": etag}
    return {"source": reference.url, "identity": identity, **signature(model), **outcome}, etag


def _open_results(app: App, bucket_url: str) -> Store:
    if app.settings.results is None:
        raise SettingsError("ONNXLET_RESULTS: expected the root URL under which results are written, got nothing")
    results = open_store(app.settings.results, app.settings.storage, create=True)
    if results.url == bucket_url:
        raise SettingsError(f"ONNXLET_RESULTS: {results.url} is the bucket of the objects, expected another place")
    return results
