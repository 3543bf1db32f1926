"""Objects and messages in -> one result object out for each, however often the event is delivered."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from onnxlet import deadline, memory
from onnxlet.contract.document import to_json
from onnxlet.errors import (
    BusyError,
    ConflictError,
    InvalidNameError,
    NotFoundError,
    OnnxletError,
    SettingsError,
    TooLargeError,
    one_line,
)
from onnxlet.events.sources import Message, ObjectReference, Outcome, Source
from onnxlet.limits import MAX_BODY_BYTES, RESULTS_MARGIN_S
from onnxlet.models import batches
from onnxlet.models.batches import Batch, Outputs
from onnxlet.models.model import Model
from onnxlet.observe import telemetry
from onnxlet.observe.telemetry import WriteLine
from onnxlet.protocols import payloads
from onnxlet.service import Service
from onnxlet.storage import urls
from onnxlet.storage.allowed_objects import content

logger = logging.getLogger("onnxlet")

MAX_READABLE_BYTES = 800
"""Of an object's key in its result's key; the stores take 1,024 in all."""

MAX_PART_BYTES = 150
"""Of one part of it between slashes: file systems take 255, of which the rest of the result's key needs up to 97."""

_RESULT = re.compile(r"\.[a-z0-9][a-z0-9._-]{0,62}-[1-9][0-9]{0,8}\.[0-9a-f]{16}\.json\Z", re.ASCII)

CONCURRENT_OBJECTS = 16
"""Fetched or written at a time: each waits for the store most of its time."""


@dataclass(slots=True)
class Work:
    """One source on its way to its result."""

    source: Source
    share: memory.Share
    """What it has decoded, until the model has run on it."""
    etag: str | None = None
    model: Model | None = None
    batches: list[Batch] = field(default_factory=list)
    outputs: list[Outputs | OnnxletError] = field(default_factory=list)
    """What the model answered to each batch, or why it could not."""
    rows: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)
    """The predictions, or why there can never be any."""
    failure: OnnxletError | None = None
    """Why it is to be delivered again."""
    result: str | None = None
    """The URL of the result, when that is written."""


def answer(
    service: Service,
    messages: Sequence[Message],
    write_line: WriteLine = telemetry.write_line,
    remaining_s: float | None = None,
) -> list[str]:
    """Answer every source of every message; a message that fails does not keep the others from their results.

    Args:
        service: The function's parts.
        messages: What one delivery brings.
        write_line: Where the line of each source goes.
        remaining_s: What the platform says that is left of the time; None takes all that the settings give.

    Returns:
        The identifiers of the messages that the queue shall deliver again, or lay aside after so many times.

    Raises:
        OnnxletError: an event that came through no queue failed: the cloud delivers it again.
    """
    sources = (source for message in messages for source in message.sources)
    works = _process_each(service, sources, write_line, remaining_s)
    failed = []
    for message in messages:
        failures = (works[source].failure for source in message.sources)
        failure = message.error or next((failure for failure in failures if failure), None)
        if failure is None:
            continue
        if message.id is None:
            raise failure
        logger.error("message %s failed: %s", one_line(message.id), failure)
        failed.append(message.id)
    return failed


def outcomes(
    service: Service,
    messages: Sequence[Message],
    write_line: WriteLine = telemetry.write_line,
    remaining_s: float | None = None,
) -> list[Outcome]:
    """Answer the source of every message, and say what became of each.

    Its arguments are those of `answer`; every message has an identifier.
    """
    works = _process_each(
        service, (source for message in messages for source in message.sources), write_line, remaining_s
    )
    found = []
    for message in messages:
        work = works[message.sources[0]] if message.sources else None
        failure = message.error if work is None else work.failure
        refusal = None if work is None else work.outcome.get("error")
        text = str(failure or refusal or (work and work.result) or "left alone")
        is_repeated = failure is not None and message.error is None
        found.append(Outcome(message.id or "", text, failure is None and refusal is None, is_repeated))
    return found


def tally(
    service: Service,
    sources: Sequence[Source],
    write_line: WriteLine = telemetry.write_line,
    remaining_s: float | None = None,
) -> dict[str, int]:
    """Answer every source of a batch that is delivered as a whole, and count what became of them.

    Its arguments are those of `answer`.

    Returns:
        The numbers of `objects`, and of those that are `answered`, `refused` for good with a result that says why, and
        `left_alone`.

    Raises:
        OnnxletError: one may be answered later; the others have their results, which another delivery does not change.
    """
    works = list(_process_each(service, sources, write_line, remaining_s).values())
    failures = [work.failure for work in works if work.failure is not None]
    if failures:
        logger.error("%d of %d objects failed", len(failures), len(works))
        raise failures[0]
    refused = sum("error" in work.outcome for work in works)
    written = sum(work.result is not None for work in works)
    return {
        "objects": len(works),
        "answered": written - refused,
        "refused": refused,
        "left_alone": len(works) - written,
    }


def process(service: Service, sources: Sequence[Source], remaining_s: float | None = None) -> list[Work]:
    """Read all sources, predict for all of them together, and write one JSON result for each.

    What can never succeed (not an image, too large, gone) leaves a result that says so. What may succeed later (a store
    or a registry that does not answer, a time that is over) is a `failure`, so that the platform delivers the event
    again. A source that is never answered has neither: a result itself, or the empty object by which consoles mark a
    folder.

    An object that finds no room in memory beside the others is read after them, alone.
    """
    works = [Work(source, memory.Share(service.budget)) for source in sources]
    with ThreadPoolExecutor(CONCURRENT_OBJECTS) as pool, deadline.of_answer(service.settings.timeout_s, remaining_s):
        left_s = deadline.remaining_s()
        reading = deadline.within(left_s - min(RESULTS_MARGIN_S, left_s / 4))
        with reading:
            _for_each(pool, works, lambda work: _read(service, work))
            _predict([work for work in works if work.batches])
        _encode_each(service, [work for work in works if work.batches])  # what is ready has the time of the results
        for work in works:
            if isinstance(work.failure, BusyError):
                _attempt(partial(_process_alone, service, reading), work)
        _for_each(pool, [work for work in works if work.outcome], lambda work: _write(service, work))
    return works


def _process_each(
    service: Service, sources: Iterable[Source], write_line: WriteLine, remaining_s: float | None
) -> dict[Source, Work]:
    """Process each source once, however often it is named, and write a line of each."""
    each = list(dict.fromkeys(sources))
    works = process(service, each, remaining_s)
    for work in works:
        write_line(telemetry.with_platform(_line(work), telemetry.parse_trace(), service.settings))
    return dict(zip(each, works, strict=True))


def result_key(source: Source, etag: str | None, model: Model) -> str:
    """The key of the result: the same for every delivery of one object's one version to one version of the model."""
    name, version = model.manifest.model, model.manifest.version
    object_version = source.version if isinstance(source, ObjectReference) else None
    identity = "\0".join([source.url, object_version or "", etag or "", name, str(version)])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"{readable(source.key)}.{name}-{version}.{digest}.json"


def is_result_key(key: str) -> bool:
    """Whether a key ends as `result_key` ends all: such an object is no input, whatever the path that leads to it."""
    return _RESULT.search(key) is not None


def _for_each(pool: ThreadPoolExecutor, works: Sequence[Work], step: Callable[[Work], None]) -> None:
    """Take a step with every work at the same time."""
    list(pool.map(deadline.carried(partial(_attempt, step)), works))


def _attempt(step: Callable[[Work], None], work: Work) -> None:
    """Take a step with one work; what goes wrong with it stays with it."""
    try:
        step(work)
    except OnnxletError as error:
        # Without a model it is the registry or the settings; with an outcome it is the place for results.
        if error.is_retryable or work.model is None or work.outcome:
            work.failure = error
        else:
            work.outcome = {"error": error.public, "code": error.code}
    except Exception as error:  # no source may keep the others from their results, whatever it is
        logger.error("an error inside the function: %s", telemetry.describe(error))  # noqa: TRY400 - without its text
        work.failure = OnnxletError("an error inside the function; its log says more")


def _process_alone(service: Service, reading: deadline.Until, work: Work) -> None:
    """Read a source that found no room beside the others, and predict for it."""
    with reading, service.budget.alone() as work.share:
        work.failure = None
        _attempt(partial(_read, service), work)
        if work.batches:
            _predict([work])
            _encode_each(service, [work])


def _read(service: Service, work: Work) -> None:
    """Find who answers a source, and make tensors of it; where that fails, give back the memory that was counted."""
    try:
        with work.share.counting():
            _decode(service, work)
    finally:
        if not work.batches:
            work.share.close()


def _decode(service: Service, work: Work) -> None:
    source, results = work.source, service.results
    if isinstance(source, ObjectReference):
        if results.url == source.bucket_url:
            raise SettingsError(f"ONNXLET_RESULTS: {results.url} is the bucket of the objects, expected another place")
        if urls.is_inside(source.url, results.url) or is_result_key(source.key) or _is_folder(service, source):
            return
    work.model = service.find(None, key=source.url).model
    if isinstance(source, ObjectReference):
        admit = deadline.carried(work.share.take)
        stored = service.bucket(source.bucket_url).read(source.key, source.version, MAX_BODY_BYTES, admit)
        work.etag = stored.revision.etag
        body, media_type, key = content(stored), stored.media_type, source.key
    else:
        body, media_type, key = source.body, source.media_type, ""
    work.batches = payloads.decode(work.model, media_type, body, service.references.read, key)


def _is_folder(service: Service, source: ObjectReference) -> bool:
    """Whether an object is the empty one by which consoles mark a folder, or has been one."""
    if not source.key.endswith("/"):
        return False
    try:
        service.bucket(source.bucket_url).read(source.key, source.version, at_most=0)
    except (TooLargeError, InvalidNameError):
        return False
    except NotFoundError:
        return True
    return True


def _predict(works: Sequence[Work]) -> None:
    """Run each model once on all that is there for it, as far as the shapes allow."""
    for model, mine in _by_version(works):
        outcomes = iter(batches.attempt(model, [batch for work in mine for batch in work.batches]))
        for work in mine:
            work.outputs = list(islice(outcomes, len(work.batches)))


def _encode_each(service: Service, works: Sequence[Work]) -> None:
    """Make predictions of the outputs for every work, and keep a sample of them where the function does so."""
    for work in works:
        _attempt(_encode, work)
        if service.settings.capture and work.model is not None and "predictions" in work.outcome:
            found = [each for each in work.outputs if not isinstance(each, OnnxletError)]
            service.capture(work.model, work.batches, found)
        work.rows = sum(batch.rows or 1 for batch in work.batches)
        work.batches, work.outputs = [], []  # the predictions take their place in memory
        work.share.close()


def _by_version(works: Sequence[Work]) -> Iterable[tuple[Model, list[Work]]]:
    """The works of each version, and one model of it: what was let go between two of them was loaded once more."""
    groups: dict[tuple[str, int], tuple[Model, list[Work]]] = {}
    for work in works:
        if work.model is not None:
            version = work.model.manifest.model, work.model.manifest.version
            groups.setdefault(version, (work.model, []))[1].append(work)
    return groups.values()


def _encode(work: Work) -> None:
    """Make predictions of the outputs for one source; raises the first error among them."""
    assert work.model is not None, "outputs have a model"
    outputs = []
    for each in work.outputs:
        if isinstance(each, OnnxletError):
            raise each
        outputs.append(each)
    work.outcome = {"predictions": payloads.encode(work.model, work.batches, outputs, payloads.DEFAULT_TOP_K)}


def _write(service: Service, work: Work) -> None:
    """Write the result, unless an earlier delivery of the same event has."""
    assert work.model is not None, "an outcome has a model"
    results, source = service.results, work.source
    key = result_key(source, work.etag, work.model)
    version = source.version if isinstance(source, ObjectReference) else None
    identity = {"version": version, "etag": work.etag}
    document = {"source": source.url, "identity": identity, **_identity(work.model), **work.outcome}
    with suppress(ConflictError):
        results.put_if_absent(key, to_json(document))
    work.result = f"{results.url}/{key}"


def _identity(model: Model) -> dict[str, Any]:
    return {"model": model.manifest.model, "version": model.manifest.version}


def _line(work: Work) -> dict[str, Any]:
    """What the log says of one source."""
    model = work.model and work.model.manifest
    return {
        "message": f"{work.source.url} {'failed' if work.failure else 'answered' if work.result else 'left alone'}",
        "source": work.source.url,
        "result": work.result,
        "model": model and model.model,
        "version": model and model.version,
        "rows": work.rows,
        "code": work.failure.code if work.failure else work.outcome.get("code"),
        "refused": int("error" in work.outcome),
        "failed": int(work.failure is not None),
    }


def readable(key: str) -> str:
    """The object's key as far as every store takes it as a part of another; the digest tells the rest apart."""
    printable = "".join(character if character.isprintable() else "_" for character in key)
    parts = [_cut(part, MAX_PART_BYTES) for part in printable.split("/") if part not in {"", ".", ".."}]
    return _cut("/".join(parts), MAX_READABLE_BYTES)


def _cut(text: str, at_most_bytes: int) -> str:
    return text.encode()[:at_most_bytes].decode("utf-8", "ignore")
