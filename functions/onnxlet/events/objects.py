"""Objects and messages in -> one result object out for each, however often the event is delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onnxlet import notices
from onnxlet.errors import OnnxletError, one_line
from onnxlet.events.messages import Message, Outcome, Source
from onnxlet.events.results import Failed, Final, Skipped, Written, process
from onnxlet.observe import log
from onnxlet.observe.log import WriteLine
from onnxlet.observe.trace import parse_trace
from onnxlet.service import Service


def answer(
    service: Service,
    messages: Sequence[Message],
    write_line: WriteLine = log.write_line,
    remaining_s: float | None = None,
) -> list[str]:
    """Write a result for every source of every message. A failed message does not keep the others from their results.

    Args:
        service: The function's parts.
        messages: The messages of one delivery.
        write_line: Writes one line of the log for each source.
        remaining_s: How much time is left by the platform's account; None stands for the whole timeout.

    Returns:
        The identifiers of the messages that failed: the queue delivers them again, or gives up after some attempts.

    Raises:
        OnnxletError: an event that came through no queue failed: the cloud delivers it again.
    """
    states = _process_each(service, _sources(messages), write_line, remaining_s)
    failed = []
    for message in messages:
        error = message.error or _first_error(states[source] for source in message.sources)
        if error is None:
            continue
        if message.id is None:
            raise error
        notices.error("message %s failed: %s", one_line(message.id), error)
        failed.append(message.id)
    return failed


def outcomes(
    service: Service,
    messages: Sequence[Message],
    write_line: WriteLine = log.write_line,
    remaining_s: float | None = None,
) -> list[Outcome]:
    """Write a result for the source of every message, and return what became of each.

    The arguments are those of `answer`; every message has an identifier and at most one source.
    """
    states = _process_each(service, _sources(messages), write_line, remaining_s)
    return [_outcome(message, states) for message in messages]


def tally(
    service: Service,
    sources: Sequence[Source],
    write_line: WriteLine = log.write_line,
    remaining_s: float | None = None,
) -> dict[str, int]:
    """Write a result for every source of a batch that is delivered as a whole, and count the results.

    The arguments are those of `answer`.

    Returns:
        The numbers of `objects`; of those `answered`; of those `refused`, whose result says why they can never be
        answered; and of those `left_alone`, which get no result.

    Raises:
        OnnxletError: a source failed. The others have their results, which another delivery does not change.
    """
    states = _process_each(service, sources, write_line, remaining_s).values()
    errors = [state.error for state in states if isinstance(state, Failed)]
    if errors:
        notices.error("%d of %d objects failed", len(errors), len(states))
        raise errors[0]
    refused = sum(isinstance(state, Written) and state.refusal is not None for state in states)
    left_alone = sum(isinstance(state, Skipped) for state in states)
    answered = len(states) - refused - left_alone
    return {"objects": len(states), "answered": answered, "refused": refused, "left_alone": left_alone}


def _sources(messages: Iterable[Message]) -> Iterable[Source]:
    return (source for message in messages for source in message.sources)


def _process_each(
    service: Service, sources: Iterable[Source], write_line: WriteLine, remaining_s: float | None
) -> dict[Source, Final]:
    """Process each source once, even if it is named several times, and log a line for each."""
    unique = list(dict.fromkeys(sources))
    states = dict(zip(unique, process(service, unique, remaining_s), strict=True))
    for source, state in states.items():
        write_line(log.with_platform(_line(source, state), parse_trace(), service.settings.platform))
    return states


def _first_error(states: Iterable[Final]) -> OnnxletError | None:
    return next((state.error for state in states if isinstance(state, Failed)), None)


def _outcome(message: Message, states: dict[Source, Final]) -> Outcome:
    message_id = message.id or ""
    state = states[message.sources[0]] if message.sources else Skipped()
    if message.error is not None:
        return Outcome(message_id, str(message.error), is_answered=False)
    if isinstance(state, Failed):
        return Outcome(message_id, str(state.error), is_answered=False, is_retryable=True)
    if isinstance(state, Written):
        return Outcome(message_id, state.refusal or state.url, is_answered=state.refusal is None)
    return Outcome(message_id, "left alone", is_answered=True)


def _line(source: Source, state: Final) -> dict[str, Any]:
    """Return the line of the log for one source."""
    word = {Failed: "failed", Written: "answered", Skipped: "left alone"}[type(state)]
    details = state.ready if isinstance(state, Written) else state
    model = None if isinstance(details, Skipped) or details.model is None else details.model.manifest
    code = state.error.code if isinstance(state, Failed) else None
    return {
        "message": f"{source.url} {word}",
        "source": source.url,
        "result": state.url if isinstance(state, Written) else None,
        "model": model and model.model,
        "version": model and model.version,
        "rows": 0 if isinstance(details, Skipped) else details.rows,
        "code": state.ready.answer.get("code") if isinstance(state, Written) else code,
        "refused": int(isinstance(state, Written) and state.refusal is not None),
        "failed": int(isinstance(state, Failed)),
    }
