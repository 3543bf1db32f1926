"""Results: each source of an event is read, run through its model, and answered with one result object.

    Waiting --read--> Decoded --run--> Predicted --encode--> Ready --write--> Written
       |                 |                 |                   |
       +--> Skipped      +------- a source that can never be answered: its result says why

An error that may go away leads from each state to `Failed`: the platform delivers the event again. `Written` may be
reached many times, but the result object is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from onnxlet.contract.document import to_json
from onnxlet.errors import (
    BusyError,
    ConflictError,
    InvalidNameError,
    NotFoundError,
    OnnxletError,
    SettingsError,
    TooLargeError,
)
from onnxlet.events.messages import ObjectReference, Source
from onnxlet.events.result_keys import is_result_key, result_key
from onnxlet.limits import MAX_BODY_BYTES, RESULTS_MARGIN_S, deadline
from onnxlet.models.model import Model
from onnxlet.observe import log
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.record import Record
from onnxlet.service import Service
from onnxlet.storage import Store, urls
from onnxlet.storage.allowed_objects import content
from onnxlet.tasks.rows import Batch, Outputs, Parameters

CONCURRENT_OBJECTS = 16
"""The number of objects that are read or written at a time. Each waits for the store most of the time."""


class Waiting(Record):
    """A source that has not been read."""


class Skipped(Record):
    """A source that gets no result: it is a result itself, or the empty object by which consoles mark a folder."""


class Failed(Record):
    """A source that must be delivered again."""

    error: OnnxletError
    model: Model | None = None
    rows: int = 0


class Decoded(Record):
    """A source whose tensors wait for the model."""

    model: Model
    etag: str | None
    batches: list[Batch]
    parameters: Parameters


class Predicted(Record):
    """A source with the model's outputs."""

    model: Model
    etag: str | None
    batches: list[Batch]
    outcomes: list[Outputs | OnnxletError]
    """The outputs of each batch, or the error that the batch caused."""
    parameters: Parameters


class Ready(Record):
    """A result that is ready to be written."""

    model: Model
    etag: str | None
    answer: dict[str, Any]
    """`predictions`, and `truncated` if texts were cut; or `error` and `code` if the source can never be answered."""
    rows: int = 0


class Written(Record):
    """A source with its result."""

    ready: Ready
    url: str
    """The URL of the result."""

    @property
    def refusal(self) -> str | None:
        """The reason why the source can never be answered; None if it is answered."""
        return self.ready.answer.get("error")


Final = Skipped | Failed | Written
State = Waiting | Decoded | Predicted | Ready | Final


class Item:
    """One source on its way to its result."""

    __slots__ = ("share", "source", "state")

    def __init__(self, source: Source, service: Service) -> None:
        self.source = source
        self.share = service.budget.open_share()
        """The memory of what is decoded, until the model has run on it."""
        self.state: State = Waiting()

    def advance(self, step: Callable[[Item], State]) -> None:
        """Move to the next state; an error is the state of this item, whatever it is, and does not stop the others."""
        try:
            self.state = step(self)
        except Exception as error:
            model, rows = (self.state.model, self.state.rows) if isinstance(self.state, Failed | Ready) else (None, 0)
            self.state = Failed(log.to_onnxlet_error(error), model, rows)

    def final(self) -> Final:
        """Return the state at the end."""
        assert isinstance(self.state, Skipped | Failed | Written), f"{self.source.url} was not processed to its end"
        return self.state


def process(service: Service, sources: Sequence[Source], remaining_s: float | None = None) -> list[Final]:
    """Read all sources, run the model on all of them together, and write one JSON result for each.

    A source that can never be answered (not an image, too large, deleted) gets a result that says so.

    An object that does not fit in memory next to the others is read after them, one at a time.
    """
    items = [Item(source, service) for source in sources]
    with ThreadPoolExecutor(CONCURRENT_OBJECTS) as pool, deadline.of_answer(service.settings.timeout_s, remaining_s):
        left_s = deadline.remaining_s()
        reading = deadline.within(left_s - min(RESULTS_MARGIN_S, left_s / 4))
        with reading:
            _advance_all(pool, items, partial(_read, service))
            _run(items)
        _encode_all(service, items)  # within the time of the results
        for item in items:
            if isinstance(item.state, Failed) and isinstance(item.state.error, BusyError):
                item.advance(partial(_process_alone, service, reading))
        _advance_all(pool, [item for item in items if isinstance(item.state, Ready)], partial(_write, service))
    return [item.final() for item in items]


def _advance_all(pool: ThreadPoolExecutor, items: Sequence[Item], step: Callable[[Item], State]) -> None:
    """Take a step with all items at the same time."""
    list(pool.map(deadline.inherited(partial(Item.advance, step=step)), items))


def _process_alone(service: Service, reading: deadline.Deadline, item: Item) -> State:
    """Read a source that did not fit in memory next to the others, and run the model on it.

    Raises:
        DeadlineError: the others did not free their memory in time.
    """
    with reading, service.budget.alone() as item.share:
        item.state = Waiting()  # frees what was decoded before the error, whose traceback refers to it
        item.advance(partial(_read, service))
        _run([item])
        _encode_all(service, [item])
    return item.state


def _read(service: Service, item: Item) -> State:
    """Read and decode a source; free the memory that was counted unless the tensors are kept."""
    state: State = Waiting()
    try:
        with item.share.counting():
            state = _decode(service, item)
    finally:
        if not isinstance(state, Decoded):
            item.share.close()
    return state


def _decode(service: Service, item: Item) -> State:
    source, results, etag = item.source, service.results, None
    if isinstance(source, ObjectReference) and _is_skipped(service, source, results):
        return Skipped()
    model = service.find(None, routing_key=source.url).model
    try:
        if isinstance(source, ObjectReference):
            take = deadline.inherited(item.share.take)
            stored = service.bucket(source.bucket_url).read(source.key, source.version, MAX_BODY_BYTES, take)
            etag = stored.revision.etag
            body, media_type, key = content(stored), stored.media_type, source.key
        else:
            body, media_type, key = source.body, source.media_type, ""
        payload = payloads.decode(Reader(model.manifest, service.allowed_objects.read), media_type, body, key)
        parameters = model.parse_parameters(payload.parameters)
        return Decoded(model, etag, model.prepare_all(payload.rows, parameters), parameters)
    except Exception as error:
        return _without_predictions(error, model, etag)


def _is_skipped(service: Service, source: ObjectReference, results: Store) -> bool:
    """Return whether an object gets no result.

    Raises:
        SettingsError: results would be written into the bucket of the objects, and cause events themselves.
        StoreError: the store does not answer.
    """
    if results.url == source.bucket_url:
        raise SettingsError(f"ONNXLET_RESULTS: {results.url} is the bucket of the objects, expected another place")
    return urls.is_inside(source.url, results.url) or is_result_key(source.key) or _is_folder(service, source)


def _is_folder(service: Service, source: ObjectReference) -> bool:
    """Return whether an object is, or was, the empty object by which consoles mark a folder."""
    if not source.key.endswith("/"):
        return False
    try:
        service.bucket(source.bucket_url).read(source.key, source.version, at_most=0)
    except (TooLargeError, InvalidNameError):
        return False
    except NotFoundError:
        return True
    return True


def _run(items: Iterable[Item]) -> None:
    """Run each model once on all tensors that wait for it, as far as their shapes allow."""
    groups: dict[tuple[str, int], list[tuple[Item, Decoded]]] = {}
    for item in items:
        if isinstance(item.state, Decoded):
            manifest = item.state.model.manifest
            groups.setdefault((manifest.model, manifest.version), []).append((item, item.state))
    for group in groups.values():
        model = group[0][1].model  # a version that was unloaded meanwhile may have been loaded again
        batches = model.align([batch for _, decoded in group for batch in decoded.batches])
        aligned, outcomes = iter(batches), iter(model.attempt(batches))
        for item, decoded in group:
            count = len(decoded.batches)
            own = list(islice(aligned, count)), list(islice(outcomes, count))
            item.state = Predicted(decoded.model, decoded.etag, *own, decoded.parameters)


def _encode_all(service: Service, items: Iterable[Item]) -> None:
    """Turn outputs into predictions, item by item: these take the tensors' place in memory."""
    for item in items:
        if isinstance(item.state, Predicted):
            item.state = _encode(service, item.state)
            item.share.close()


def _encode(service: Service, predicted: Predicted) -> Ready | Failed:
    """Turn the outputs of one source into predictions, and keep a sample of them if the operator wants that."""
    model, rows = predicted.model, sum(batch.rows or 1 for batch in predicted.batches)
    try:
        outputs = list(map(_outputs_of, predicted.outcomes))
        predictions = model.to_predictions(predicted.batches, outputs, predicted.parameters)
        answer: dict[str, Any] = {"predictions": payloads.encode(predictions)}
    except Exception as error:
        return _without_predictions(error, model, predicted.etag, rows)
    if service.settings.capture:
        service.capture(model, predicted.batches, outputs)
    truncated = sum(item.truncated for item in predictions)
    if truncated:
        answer["truncated"] = truncated
    return Ready(model, predicted.etag, answer, rows)


def _outputs_of(outcome: Outputs | OnnxletError) -> Outputs:
    if isinstance(outcome, OnnxletError):
        raise outcome
    return outcome


def _without_predictions(error: Exception, model: Model, etag: str | None, rows: int = 0) -> Ready | Failed:
    """Return the state after an error: a failure if the source may be answered later, else a result with the error."""
    error = log.to_onnxlet_error(error)
    if error.is_retryable:
        return Failed(error, model, rows)
    return Ready(model, etag, {"error": error.public, "code": error.code}, rows)


def _write(service: Service, item: Item) -> Written:
    """Write the result, unless an earlier delivery of the same event has written it."""
    ready, source, results = item.state, item.source, service.results
    assert isinstance(ready, Ready)
    name, version = ready.model.manifest.model, ready.model.manifest.version
    object_version = source.version if isinstance(source, ObjectReference) else None
    document = {
        "source": source.url,
        "identity": {"version": object_version, "etag": ready.etag},
        **ready.model.identity(),
        **ready.answer,
    }
    key = result_key(source, ready.etag, name, version)
    with suppress(ConflictError):
        results.put_if_absent(key, to_json(document))
    return Written(ready, f"{results.url}/{key}")
