"""The app: an HTTP request in, a response out, the same for both clouds.

`App._answer` is the way of every request: translate, admit, route, let the endpoint answer (load, decode, run, encode),
compress, fit the platform's limit, log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onnxlet import notices
from onnxlet.errors import OnnxletError, TooLargeError
from onnxlet.http import (
    Request,
    Response,
    below,
    check_size,
    compressed,
    decompressed,
    wire_bytes,
    without_body,
)
from onnxlet.limits import deadline
from onnxlet.observe import log
from onnxlet.observe.trace import parse_request_id, parse_trace, server_timing
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.web.endpoints import ROUTES, is_page
from onnxlet.web.error_responses import to_onnxlet_error, to_response
from onnxlet.web.exchange import Exchange
from onnxlet.web.routes import Route, Router

if TYPE_CHECKING:
    from onnxlet.web.cors import Cors

ROUTER = Router(ROUTES)

MAX_RESPONSE_BYTES = {"lambda": 6 * 1024 * 1024 - 64 * 1024, "cloud-run": 32 * 1024 * 1024, "other": 32 * 1024 * 1024}
"""The largest response of each platform. Lambda's limit is 6 MiB, of which 64 KiB are for the JSON around the body."""

PREFLIGHT = "(preflight)"
"""The log's name for the route of a browser's CORS preflight, whatever its path."""

NOSNIFF = {"x-content-type-options": "nosniff"}
"""Sent with every response to GET, so that no browser interprets a user's text as HTML."""

NO_STORE = {"cache-control": "no-store"}
"""Sent if API keys are required: shared caches do not know that `x-api-key` authorizes (RFC 9111, section 3.5)."""


class App:
    """One function's answers to HTTP requests."""

    def __init__(
        self,
        settings: Settings,
        write_line: log.WriteLine = log.write_line,
        service: Service | None = None,
    ) -> None:
        """Create the app; it reads nothing before the first request.

        Args:
            settings: The function's settings.
            write_line: Writes one line of the log for each request.
            service: The function's parts; by default they are created from the settings.
        """
        self.service = service or Service(settings)
        self.write_line = write_line
        self._cors = _open_cors(settings)
        self._is_cold = True

    @classmethod
    def start(cls, service: Service) -> App:
        """Create the app of a function and load its default model before the first request.

        A server that forks its workers from this process, as functions-framework's gunicorn does, loads the model in
        each worker: the threads of obstore and ONNX Runtime do not survive a fork.
        """
        app = cls(service.settings, service=service)
        if service.settings.is_preforked:
            os.register_at_fork(after_in_child=app.warm_up)
        else:
            app.warm_up()
        return app

    @property
    def settings(self) -> Settings:
        """The function's settings."""
        return self.service.settings

    def warm_up(self) -> None:
        """Load the default model. A failure is only logged: the first request meets it again."""
        try:
            self.service.warm_up()
        except OnnxletError as error:
            notices.error("the default model was not loaded: %s", error)

    def handle(
        self,
        event: Any,
        to_request: Callable[[Any], Request] = lambda request: request,
        remaining_s: float | None = None,
    ) -> Response:
        """Answer a request shortly before the platform's timeout at the latest. Never raises: errors are responses too.

        Args:
            event: The request in the cloud's own form.
            to_request: The cloud's translator.
            remaining_s: How much time is left by the platform's account; None stands for the whole timeout.
        """
        with deadline.of_answer(self.settings.timeout_s, remaining_s):
            return self._answer(event, to_request)

    def _answer(self, event: Any, to_request: Callable[[Any], Request]) -> Response:
        exchange = Exchange(self.service)
        try:
            request = exchange.request = below(to_request(event), self.settings.base_path)
            preflight = self._cors and self._cors.preflight(request.method, request.headers)
            if preflight:
                exchange.route = PREFLIGHT
                return self._finish(exchange, Response(204, b"", headers=preflight))
            self._admit(exchange)
            route, arguments = ROUTER.find(request.method, request.path)
            exchange.route = route.pattern
            answer = self._run(route, arguments, exchange)
            response = self._fit(compressed(answer, exchange.request), exchange.request)
        except Exception as error:
            exchange.error = to_onnxlet_error(error)
            return self._finish(exchange, to_response(exchange.error, exchange.request.path))
        response = self._finish(exchange, response)
        if route.method == "POST" and exchange.routed is not None and exchange.routed.shadow is not None:
            from onnxlet.web import shadow  # few models have a shadow

            shadow.compare(exchange, route, arguments, answer, self._write)
        return response

    def _admit(self, exchange: Exchange) -> None:
        """Check the request's API key, if keys are required.

        Raises:
            UnauthenticatedError: there is no valid key.
            QuotaExceededError: the key has no request left today.
        """
        if self.service.api_keys is not None and not is_page(exchange.request):
            exchange.key = self.service.api_keys.admit(exchange.request.headers)

    def _run(self, route: Route, arguments: dict[str, str], exchange: Exchange) -> Response:
        """Let the endpoint answer, within the memory that requests share. It may be called a second time."""
        received = exchange.request

        def respond() -> Response:
            exchange.request = decompressed(received)
            check_size(exchange.request.body)
            return route.endpoint(exchange, **arguments)

        return respond() if route.method == "GET" else self.service.budget.run(respond)

    def _fit(self, response: Response, request: Request) -> Response:
        """Return the response, or store it and return where it is if the platform cannot send it.

        Raises:
            TooLargeError: the response is too large, and there is no place for results.
        """
        platform = self.settings.platform
        size_bytes = wire_bytes(response, is_lambda=platform == "lambda")
        limit_bytes = request.response_limit_bytes or MAX_RESPONSE_BYTES[platform]
        if size_bytes <= limit_bytes or request.method == "HEAD":
            return response
        problem = f"response: expected at most {limit_bytes} bytes, got {size_bytes}"
        if self.settings.results is None:
            raise TooLargeError(f"{problem}: request fewer rows or outputs, or binary data, or set ONNXLET_RESULTS")
        from onnxlet.web import spill  # few responses are too large

        # The browser would follow another origin's redirect as the origin `null`, and refuse the page its result.
        has_redirect = self._cors is None or not self._cors.allows(request.headers)
        return spill.store(self.service, response, problem, has_redirect=has_redirect)

    def _finish(self, exchange: Exchange, response: Response) -> Response:
        """Log the request, and return the response with the headers that say which model answered and how."""
        request, total_s = exchange.request, exchange.total_s()
        if request.method == "HEAD":
            response = without_body(response)
        model = None if exchange.routed is None else exchange.routed.model.manifest
        if model is not None:
            is_success = response.status < 400
            self.service.statistics.record(model, is_success=is_success, total_s=total_s, steps=exchange.steps_s)
        trace = parse_trace(request.headers)
        request_id = parse_request_id(request.headers, request.id)
        line = _line(exchange, response, total_s) | {"cold": self._is_cold, "request_id": request_id}
        self._write(log.with_platform(line, trace, self.settings.platform, self.settings.project))
        timing = server_timing(exchange.steps_s, total_s, is_cold=self._is_cold)
        self._is_cold = False
        headers = {**response.headers, **exchange.headers, "server-timing": timing, "traceparent": trace.header()}
        if request_id is not None:
            headers["x-request-id"] = request_id
        if model is not None:
            headers |= {"onnxlet-model": model.model, "onnxlet-version": str(model.version)}
        if request.method in {"GET", "HEAD"}:
            headers |= NOSNIFF
        if self.service.api_keys is not None and "cache-control" not in response.headers:
            headers |= NO_STORE
        if self._cors is not None:
            headers |= self._cors.headers(request.headers, response.headers)
        return Response(response.status, response.body, response.content_type, headers)

    def _write(self, line: dict[str, Any]) -> None:
        """Write a line into the log. If that fails, the client still gets the response."""
        try:
            self.write_line(line)
        except Exception as error:
            notices.error("a line of the log was not written: %s", log.describe(error))


def _line(exchange: Exchange, response: Response, total_s: float) -> dict[str, Any]:
    """Return what the log says of a request."""
    method = log.method_name(exchange.request.method)
    model = None if exchange.routed is None else exchange.routed.model.manifest
    return {
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
        "request_bytes": len(exchange.request.body),
        "response_bytes": len(response.body),
        "code": exchange.error and exchange.error.code,
        "refused": int(400 <= response.status < 500),
        "failed": int(response.status >= 500),
    }


def _open_cors(settings: Settings) -> Cors | None:
    """Return the rules for pages of other origins; None if no origin is configured."""
    if not settings.cors_origins:
        return None
    from onnxlet.web.cors import Cors  # pages of other origins call few functions

    return Cors(settings.cors_origins)
