"""Request in, response out: route -> load -> decode -> run -> encode, the same for both clouds."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from onnxlet import payloads, v2
from onnxlet.config import Settings
from onnxlet.contract import layout
from onnxlet.errors import (
    InvalidRequestError,
    MethodNotAllowedError,
    ModelNotFoundError,
    NotFoundError,
    OnnxletError,
)
from onnxlet.http import HEADER_LENGTH, Request, Response, check_size, decompressed, to_binary, to_json
from onnxlet.models import Model, Models
from onnxlet.registry import Registry
from onnxlet.store import open_store

logger = logging.getLogger("onnxlet")


class App:
    """One function's models and how they answer."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is read until `warm_up` or the first request.

        The store is opened at the first use and not here: its threads do not survive a fork.
        """
        self.settings = settings
        self._models: Models | None = None

    @classmethod
    def start(cls, settings: Settings) -> "App":
        """Make the app and load its default model, before the first request.

        Where a server forks its workers from this process (functions-framework's gunicorn does), the model is loaded in
        each worker as it starts: neither obstore's nor ONNX Runtime's threads survive a fork.
        """
        app = cls(settings)
        if settings.is_preforked:
            os.register_at_fork(after_in_child=app.warm_up)
        else:
            app.warm_up()
        return app

    @property
    def models(self) -> Models:
        """The loaded models.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL leads nowhere.
        """
        if self._models is None:
            registry = Registry(open_store(self.settings.registry, self.settings.storage))
            self._models = Models(registry, self.settings.threads, self.settings.refresh_s)
        return self._models

    def warm_up(self) -> None:
        """Make ready for the first request: load the default model, run it once, import its payloads' decoder.

        A failure is logged, and found again by the first request.
        """
        if self.settings.model is None:
            return
        try:
            payloads.prepare(self.models.get(self.settings.model))
        except OnnxletError as error:
            logger.error("the default model was not loaded: %s", error)  # noqa: TRY400 - the line says it all

    def default_model(self) -> Model:
        """The model that answers where nothing names one.

        Raises:
            ModelNotFoundError: no default is set; or as `Models.get`.
        """
        if self.settings.model is None:
            raise ModelNotFoundError("no model is named, and ONNXLET_MODEL sets no default")
        return self.models.get(self.settings.model)

    def handle(self, event: Any, to_request: Callable[[Any], Request] = lambda request: request) -> Response:
        """Answer a request. Never raises: an error becomes its own answer.

        Args:
            event: The request, in a cloud's form where `to_request` says how to read it.
            to_request: The cloud's translator.
        """
        try:
            request = decompressed(to_request(event))
            check_size(request.body)
            endpoint, arguments = _route(request.method, request.path)
            return endpoint(self, request, **arguments)
        except OnnxletError as error:
            return to_json({"error": str(error), "code": error.code}, error.status)
        except Exception:
            logger.exception("an error inside the function")
            return to_json({"error": "an error inside the function; its log says more", "code": OnnxletError.code}, 500)

    def find(self, reference: str, version: str | None = None) -> Model:
        """The model that a path names: `name` or `name@alias`, and perhaps a version.

        Raises:
            InvalidNameError: not a possible name; or as `Models.get`.
        """
        name, has_alias, alias = reference.partition("@")
        layout.parse_name(name)
        if version is None:
            return self.models.get(name, layout.parse_alias(alias) if has_alias else layout.LIVE)
        if has_alias:
            raise InvalidRequestError(f"{reference!r}: expected an alias or a version, got both")
        return self.models.get_version(name, layout.parse_version(version))

    # ------------------------------------------------------------------ endpoints

    def server_metadata(self, _request: Request) -> Response:
        """What this server is."""
        return to_json(v2.SERVER_METADATA)

    def live(self, _request: Request) -> Response:
        """Whether the function runs: it does, as it answers."""
        return to_json(_health(True))

    def ready(self, _request: Request) -> Response:
        """Whether the default model can answer."""
        try:
            if self.settings.model is not None:
                self.default_model()
        except OnnxletError as error:
            return to_json({**_health(False), "error": str(error), "code": error.code}, 503)
        return to_json(_health(True))

    def model_metadata(self, _request: Request, model: str, version: str | None = None) -> Response:
        """What a model's tensors are; `problem` says why its alias's new version does not answer, where that is so."""
        found = self.find(model, version)
        problem = self.models.problem(found)
        document = v2.model_metadata(found.manifest)
        return to_json(document if problem is None else {**document, "problem": problem})

    def model_ready(self, _request: Request, model: str, version: str | None = None) -> Response:
        """Whether a model can answer."""
        return to_json({"name": self.find(model, version).manifest.model, "ready": True})

    def infer(self, request: Request, model: str, version: str | None = None) -> Response:
        """Run a model on tensors."""
        found = self.find(model, version)
        infer = v2.parse_infer(request.body, request.headers.get(HEADER_LENGTH))
        outputs = found.run(infer.inputs, infer.output_names())
        document, buffers = v2.infer_response(found.manifest, infer, outputs)
        return to_json(document) if not buffers else to_binary(document, buffers)

    def predict(self, request: Request, model: str | None = None) -> Response:
        """Run a model on a payload."""
        found = self.default_model() if model is None else self.find(model)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        predictions = payloads.predict(found, media_type, request.body, _parse_top_k(request.query))
        return to_json({**signature(found), "predictions": predictions})


def signature(model: Model) -> dict[str, Any]:
    """Which model answers: a part of every answer, over HTTP and as a result of an event."""
    return {"model": model.manifest.model, "version": model.manifest.version}


Endpoint = Callable[..., Response]

ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/v2", App.server_metadata),
    ("GET", "/v2/health/live", App.live),
    ("GET", "/v2/health/ready", App.ready),
    ("GET", "/v2/models/{model}", App.model_metadata),
    ("GET", "/v2/models/{model}/ready", App.model_ready),
    ("GET", "/v2/models/{model}/versions/{version}", App.model_metadata),
    ("GET", "/v2/models/{model}/versions/{version}/ready", App.model_ready),
    ("POST", "/v2/models/{model}/infer", App.infer),
    ("POST", "/v2/models/{model}/versions/{version}/infer", App.infer),
    ("POST", "/predict", App.predict),
    ("POST", "/predict/{model}", App.predict),
)


def _route(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """The endpoint for a request, and what its path says.

    Raises:
        NotFoundError: no route has this path.
        MethodNotAllowedError: one has, for another method.
    """
    allowed = []
    for route_method, pattern, endpoint in ROUTES:
        arguments = _match(pattern, path)
        if arguments is not None:
            if route_method == method:
                return endpoint, arguments
            allowed.append(route_method)
    if allowed:
        raise MethodNotAllowedError(f"{path}: expected {' or '.join(allowed)}, got {method}")
    raise NotFoundError(f"{path[:200]}: nothing answers here")


def _match(pattern: str, path: str) -> dict[str, str] | None:
    parts = path.rstrip("/").split("/")
    pattern_parts = pattern.split("/")
    if len(parts) != len(pattern_parts):
        return None
    arguments = {}
    for part, expected in zip(parts, pattern_parts, strict=True):
        if expected.startswith("{"):
            arguments[expected[1:-1]] = part
        elif part != expected:
            return None
    return arguments


def _health(is_well: bool) -> dict[str, bool]:
    """Both keys: the specification prints `live` for readiness too, KServe's client reads `ready`."""
    return {"live": True, "ready": is_well}


def _parse_top_k(query: Mapping[str, str]) -> int:
    text = query.get("top_k", str(payloads.DEFAULT_TOP_K))
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= 1000:
        raise InvalidRequestError(f"top_k: expected a number from 1 to 1000, got {text[:80]!r}")
    return int(text)
