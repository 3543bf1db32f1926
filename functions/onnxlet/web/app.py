"""Request in, response out: route -> load -> decode -> run -> encode, the same for both clouds."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from onnxlet import deadline
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError, TooLargeError
from onnxlet.http import (
    Request,
    Response,
    below,
    check_size,
    compressed,
    decompressed,
    to_json,
    wire_bytes,
    without_body,
)
from onnxlet.observe import telemetry
from onnxlet.registry.prefetch import Prefetch
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.web.endpoints import ROUTES, is_page
from onnxlet.web.exchange import Exchange
from onnxlet.web.routes import Route, Router

if TYPE_CHECKING:
    from onnxlet.web.cors import Cors

logger = logging.getLogger("onnxlet")

ROUTER = Router(ROUTES)

MAX_RESPONSE_BYTES = {"lambda": 6 * 1024 * 1024 - 64 * 1024, "cloud-run": 32 * 1024 * 1024, "other": 32 * 1024 * 1024}
"""What a platform sends back at most; of Lambda's 6 MiB some are left for the document around the body."""

PREFLIGHT = "(preflight)"
"""The route of a browser's question before a request, whatever its path, in the log."""

SPILLED = "responses"
"""The prefix under the results for answers that are too large to send."""

SPILL_LIFETIME = timedelta(hours=1)

SHADOW_FACTOR = 2
"""How much longer than the answer its shadow may take, which begins when the answer is made."""

MAX_LOGGED_LABELS = 16
"""Of an answer that a shadow gave too: those of its first rows."""

MAX_COMPARED_BYTES = 1024 * 1024
"""The largest answer that is parsed again for its labels."""

UNSNIFFED = {"x-content-type-options": "nosniff"}
"""Of what a browser may be led to, which is what GET answers: no text of a stranger's in it becomes a page."""

UNCACHED = {"cache-control": "no-store"}
"""Of what not everybody may see: to a cache between, `x-api-key` is a header like any other (RFC 9111, section 3.5)."""


class App:
    """One function's answers to HTTP requests."""

    def __init__(
        self,
        settings: Settings,
        write_line: telemetry.WriteLine = telemetry.write_line,
        prefetched: Prefetch | None = None,
    ) -> None:
        """Take the settings; nothing is read until the first request.

        Args:
            settings: The function's.
            write_line: Where the line of each request goes.
            prefetched: The default model, where it is already on its way.
        """
        self.service = Service(settings, prefetched)
        self.write_line = write_line
        self._cors = _open_cors(settings)
        self._is_cold = True

    @classmethod
    def start(cls, settings: Settings, prefetched: Prefetch | None = None) -> "App":
        """Make the app and load its default model, before the first request; the arguments are those of the class.

        Where a server forks its workers from this process (functions-framework's gunicorn does), the model is loaded in
        each worker as it starts: neither obstore's nor ONNX Runtime's threads survive a fork.
        """
        app = cls(settings, prefetched=prefetched)
        if settings.is_preforked:
            os.register_at_fork(after_in_child=app.warm_up)
        else:
            app.warm_up()
        return app

    @property
    def settings(self) -> Settings:
        """What the function was told by its environment."""
        return self.service.settings

    def warm_up(self) -> None:
        """Make ready for the first request. A failure is logged, and found again by the first request."""
        try:
            self.service.warm_up()
        except OnnxletError as error:
            logger.error("the default model was not loaded: %s", error)  # noqa: TRY400 - the line says it all

    def handle(
        self,
        event: Any,
        to_request: Callable[[Any], Request] = lambda request: request,
        remaining_s: float | None = None,
    ) -> Response:
        """Answer a request, a little before the platform's patience ends. Never raises: an error is an answer, too.

        Args:
            event: The request, in a cloud's form where `to_request` says how to read it.
            to_request: The cloud's translator.
            remaining_s: What the platform says that is left of the time; None takes all that the settings give.
        """
        with deadline.of_answer(self.settings.timeout_s, remaining_s):
            return self._answer(event, to_request)

    def _answer(self, event: Any, to_request: Callable[[Any], Request]) -> Response:
        exchange = Exchange(self.service)
        try:
            exchange.request = sent = below(to_request(event), self.settings.base_path)
            allowed = self._cors and self._cors.preflight(sent.method, sent.headers)
            if allowed:
                exchange.route = PREFLIGHT
                return self._finish(exchange, Response(204, b"", headers=allowed))
            if self.service.api_keys is not None and not is_page(exchange.request):
                exchange.key = self.service.api_keys.admit(exchange.request)
            route, arguments = ROUTER.find(exchange.request.method, exchange.request.path)
            exchange.route = route.pattern

            def respond() -> Response:
                exchange.request = decompressed(sent)
                check_size(exchange.request.body)
                return route.endpoint(exchange, **arguments)

            answer = respond() if route.method == "GET" else self.service.budget.run(respond)
            response = self._fit(compressed(answer, exchange.request), exchange.request)
        except Exception as error:
            exchange.error, response = _to_error(error)
            return self._finish(exchange, response)
        response = self._finish(exchange, response)
        self._ask_shadow(exchange, route, arguments, answer)
        return response

    def _fit(self, response: Response, request: Request) -> Response:
        """The response, or where it is stored if it is larger than the platform sends back.

        Raises:
            TooLargeError: it is, and there is nowhere to store it.
        """
        platform = self.settings.platform
        size_bytes = wire_bytes(response, is_lambda=platform == "lambda")
        limit_bytes = request.response_limit_bytes or MAX_RESPONSE_BYTES[platform]
        if size_bytes <= limit_bytes or request.method == "HEAD":
            return response
        text = f"the answer takes {size_bytes} bytes, more than the {limit_bytes} that can be sent back"
        if self.settings.results is None:
            raise TooLargeError(f"{text}: ask for fewer rows or outputs, or for binary data, or set ONNXLET_RESULTS")
        return self._spill(response, text, request)

    def _spill(self, response: Response, text: str, request: Request) -> Response:
        """Store a response, and answer where it is.

        A page of another origin gets no redirect: its browser would follow it as the origin `null`, and show the page
        nothing at all. It reads the URL in the document.
        """
        results = self.service.results
        key = f"{SPILLED}/{os.urandom(16).hex()}"
        results.put_if_absent(key, response.body)
        try:
            url = results.sign(key, SPILL_LIFETIME)
        except OnnxletError as error:  # the client still learns where the object is
            logger.warning("no presigned URL: %s", error)
            url = None
        document = {
            "error": f"{text}; it is stored as an object",  # Triton's client shows this text
            "code": "spilled",
            "object": f"{results.url}/{key}",
            "url": url,
            "expires_in_s": int(SPILL_LIFETIME.total_seconds()),
            "content_type": response.content_type,
            "headers": response.headers,
        }
        is_foreign = self._cors is not None and self._cors.allows(request.headers)
        location = {} if url is None or is_foreign else {"location": url}
        return replace(to_json(document, 303), headers=location)

    def _ask_shadow(self, exchange: Exchange, route: Route, arguments: dict[str, str], answer: Response) -> None:
        """Let a shadow answer a copy of a request whose own answer is made; whatever happens, that answer stays.

        The shadow gets what is left of the time, and at most `SHADOW_FACTOR` times as long as the answer took.
        """
        if exchange.routed is None or exchange.routed.shadow is None or route.method != "POST":
            return
        try:
            with (
                deadline.within(min(deadline.remaining_s(), SHADOW_FACTOR * exchange.total_s())),
                self.service.budget.share(),  # where no memory is left, a shadow is refused at once
            ):
                self._compare(exchange, route, arguments, answer)
        except Exception as error:
            logger.error("an error beside a shadow: %s", telemetry.describe(error))  # noqa: TRY400 - without its text

    def _compare(self, exchange: Exchange, route: Route, arguments: dict[str, str], answer: Response) -> None:
        """Log how a shadow answers a request beside the model that has answered it.

        Of both answers the log has the labels alone: they are the model's words, all else may be the client's.
        """
        routed = exchange.routed
        assert routed is not None, "the caller has looked"
        model, shadow = routed.model, routed.shadow
        assert shadow is not None, "the caller has looked"
        started_s, code = time.perf_counter(), None
        try:
            deadline.check()
            other = route.endpoint(Exchange(self.service, exchange.request, shadow), **arguments)
        except Exception as error:
            found, other = _to_error(error)
            code = found.code
        self._write(
            {
                "message": f"shadow of {model.manifest.model}: version {shadow.manifest.version} gave {other.status}",
                "model": model.manifest.model,
                "version": model.manifest.version,
                "shadow_version": shadow.manifest.version,
                "shadow_status": other.status,
                "shadow_code": code,
                "shadow_ms": (time.perf_counter() - started_s) * 1000,
                "labels": _labels(answer, model.manifest),
                "shadow_labels": _labels(other, shadow.manifest),
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        """Write a line into the log; a log that cannot be written does not take the client's answer away."""
        try:
            self.write_line(line)
        except Exception as error:
            logger.error("a line of the log was not written: %s", telemetry.describe(error))  # noqa: TRY400

    def _finish(self, exchange: Exchange, response: Response) -> Response:
        """Mark the response with who made it and how, and write the request's line into the log."""
        request, total_s = exchange.request, exchange.total_s()
        if request.method == "HEAD":
            response = without_body(response)
        model = None if exchange.routed is None else exchange.routed.model.manifest
        if model is not None:
            is_success = response.status < 400
            self.service.statistics.record(model, is_success=is_success, total_s=total_s, steps=exchange.steps_s)
        trace = telemetry.parse_trace(request.headers)
        request_id = telemetry.parse_request_id(request.headers, request.id)
        method = telemetry.method_name(request.method)
        line = {
            "message": f"{method} {exchange.route or '(no route)'} {response.status}",
            "method": method,
            "route": exchange.route,
            "key": exchange.key and exchange.key.id,
            "status": response.status,
            "model": model and model.model,
            "version": model and model.version,
            "milliseconds": total_s * 1000,
            **{f"{step}_ms": seconds * 1000 for step, seconds in exchange.steps_s.items()},
            "rows": exchange.rows,
            "request_bytes": len(request.body),
            "response_bytes": len(response.body),
            "code": exchange.error and exchange.error.code,
            "refused": int(400 <= response.status < 500),
            "failed": int(response.status >= 500),
            "cold": self._is_cold,
            "request_id": request_id,
        }
        self._write(telemetry.with_platform(line, trace, self.settings))
        timing = telemetry.server_timing(exchange.steps_s, total_s, is_cold=self._is_cold)
        self._is_cold = False
        headers = {"server-timing": timing, "traceparent": trace.header()}
        if request_id is not None:
            headers["x-request-id"] = request_id
        if model is not None:
            headers |= {"onnxlet-model": model.model, "onnxlet-version": str(model.version)}
        if request.method in {"GET", "HEAD"}:
            headers |= UNSNIFFED
        if self.service.api_keys is not None and "cache-control" not in response.headers:
            headers |= UNCACHED
        if self._cors is not None:
            headers |= self._cors.headers(request.headers, response.headers)
        return Response(response.status, response.body, response.content_type, {**response.headers, **headers})


def _open_cors(settings: Settings) -> "Cors | None":
    """Return what lets pages of other origins read the answers; None where no origin is named."""
    if not settings.cors_origins:
        return None
    from onnxlet.web.cors import Cors  # few functions are called from pages of other origins

    return Cors(settings.cors_origins)


def _to_error(error: Exception) -> tuple[OnnxletError, Response]:
    """The answer to an error; one that is not ours is logged, and the client is told no more than that."""
    if isinstance(error, MemoryError):
        error = TooLargeError("the request takes more memory than the function has left: ask for less at once")
    elif not isinstance(error, OnnxletError):
        logger.error("an error inside the function: %s", telemetry.describe(error))
        error = OnnxletError("an error inside the function; its log says more")
    answer = to_json({"error": error.public, "code": error.code}, error.status)
    return error, replace(answer, headers=error.headers)


def _labels(answer: Response, manifest: Manifest) -> list[str] | None:
    """What a classifier calls the first rows, in an answer of `predictions`; None of any other answer."""
    if manifest.classification is None or not answer.is_text or len(answer.body) > MAX_COMPARED_BYTES:
        return None
    document = orjson.loads(answer.body)
    rows = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return None
    labels = [row.get("label") for row in rows[:MAX_LOGGED_LABELS] if isinstance(row, dict)]
    return [label for label in labels if label in manifest.classification.labels]
