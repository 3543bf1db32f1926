"""Shadow: a second version answers a copy of a request, and the log compares the two answers.

Whatever happens here, the client has its answer already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from onnxlet import notices
from onnxlet.contract.manifest import Manifest
from onnxlet.http import Response
from onnxlet.limits import deadline
from onnxlet.observe import log
from onnxlet.web.error_responses import to_onnxlet_error, to_response
from onnxlet.web.exchange import Exchange
from onnxlet.web.routes import Route

MAX_TIME_FACTOR = 2
"""The time limit of a shadow, as a multiple of the time of the answer."""

MAX_LOGGED_LABELS = 16
"""The most labels of each answer in the log: those of its first rows."""

MAX_COMPARED_BYTES = 1024 * 1024
"""The largest answer that is parsed again for its labels."""

Write = Callable[[dict[str, Any]], None]
"""Writes a line into the log."""


def compare(exchange: Exchange, route: Route, arguments: dict[str, str], answer: Response, write: Write) -> None:
    """Let a shadow answer a copy of a request, and log both answers. Errors are only logged.

    The shadow gets the time that is left, and at most `MAX_TIME_FACTOR` times the time of the answer.

    Args:
        exchange: The request, and the routed model with its shadow.
        route: The request's route.
        arguments: The arguments of the route's endpoint.
        answer: The endpoint's answer.
        write: Writes the comparison into the log.
    """
    try:
        with (
            deadline.within(min(deadline.remaining_s(), MAX_TIME_FACTOR * exchange.total_s())),
            exchange.service.budget.share(),  # refuses a shadow at once if too little memory is left
        ):
            _compare(exchange, route, arguments, answer, write)
    except Exception as error:
        notices.error("a shadow failed: %s", log.describe(error))


def _compare(exchange: Exchange, route: Route, arguments: dict[str, str], answer: Response, write: Write) -> None:
    """Log only the labels of both answers: they are the model's words, all else may be the client's."""
    routed = exchange.routed
    assert routed is not None
    assert routed.shadow is not None
    manifest, shadow_manifest = routed.model.manifest, routed.shadow.manifest
    started_s, code = time.perf_counter(), None
    try:
        deadline.check()
        shadow_answer = route.endpoint(Exchange(exchange.service, exchange.request, routed.shadow), **arguments)
    except Exception as caught:
        error = to_onnxlet_error(caught)
        shadow_answer, code = to_response(error), error.code
    status = shadow_answer.status
    write(
        {
            "message": f"shadow of {manifest.model}: version {shadow_manifest.version} answered {status}",
            "model": manifest.model,
            "version": manifest.version,
            "shadow_version": shadow_manifest.version,
            "shadow_status": status,
            "shadow_code": code,
            "shadow_ms": (time.perf_counter() - started_s) * 1000,
            "labels": _labels(answer, manifest),
            "shadow_labels": _labels(shadow_answer, shadow_manifest),
        }
    )


def _labels(answer: Response, manifest: Manifest) -> list[str] | None:
    """Return a classifier's labels of the first rows; None for an answer without `predictions`."""
    if manifest.classification is None or not answer.is_text or len(answer.body) > MAX_COMPARED_BYTES:
        return None
    document = orjson.loads(answer.body)
    rows = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return None
    labels = [row.get("label") for row in rows[:MAX_LOGGED_LABELS] if isinstance(row, dict)]
    return [label for label in labels if label in manifest.classification.labels]
