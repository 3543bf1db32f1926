"""The exchange: one request being answered. What it asks, who answers it, and how long each step takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ForbiddenError, OnnxletError
from onnxlet.http import Request
from onnxlet.limits import RUNS_PER_REQUEST
from onnxlet.models.batches import Batch, Outputs
from onnxlet.models.model import Model
from onnxlet.models.traffic import Selection
from onnxlet.service import Service

if TYPE_CHECKING:
    from onnxlet.contract.api_keys import Key

KEY = "onnxlet-key"
"""The header by whose value a client always comes to the same version of a canary; else it is the request's own id."""

UNREAD = Request("", "")
"""In place of a request that could not even be read."""


class Exchange:
    """What the steps of one answer share."""

    def __init__(self, service: Service, request: Request = UNREAD, model: Model | None = None) -> None:
        """Begin.

        Args:
            service: The function's parts.
            request: The request.
            model: Who answers, whatever the request names: a shadow. None lets the request decide.
        """
        self.service = service
        self.request = request
        self.key: Key | None = None
        """By which the request was let in; None where everybody is."""
        self.route = ""
        """The pattern of the path."""
        self.routed: Selection | None = None if model is None else Selection(model)
        self.rows: int | None = None
        self.error: OnnxletError | None = None
        """Why there is no answer."""
        self.steps_s: dict[str, float] = {}
        self._started_s = time.perf_counter()

    def find(self, reference: str | None, version: str | None = None, request_id: str | None = None) -> Model:
        """Who answers.

        Args:
            reference: `name` or `name@alias`; None for the default model.
            version: A version of it, instead of an alias.
            request_id: The client's own name for the request, where its body has one.

        Raises:
            ForbiddenError: a model that the key may not name, whether it exists or not.
            OnnxletError: as `Service.find`.
        """
        if self.routed is None:
            named = reference or self.service.settings.model
            if named is not None:
                self.require(named)
            headers = self.request.headers
            key = headers.get(KEY) or headers.get("x-request-id") or request_id
            with self.step("load"):
                self.routed = self.service.find(reference, version, key)
        return self.routed.model

    def manifest(self, reference: str, version: str | None = None) -> Manifest:
        """What is known of a model that need not be loaded for it; raises as `Service.manifest`, and `require`."""
        self.require(reference)
        return self.service.manifest(reference, version)

    def require(self, reference: str) -> None:
        """Refuse a model that the key may not name.

        Raises:
            ForbiddenError: it may not.
        """
        if not self.may_use(reference):
            raise ForbiddenError(f"{reference!r:.80}: this API key may not name this model")

    def may_use(self, reference: str) -> bool:
        """Whether the request may name a model; `name` or `name@alias`."""
        return self.key is None or self.key.may_use(reference.partition("@")[0])

    def charge(self, runs: int) -> None:
        """Take what the runs of a model cost beyond the request itself of the key's quota, before they run.

        Raises:
            QuotaExceededError: the key has less left today.
            StoreError: its quota cannot be counted.
        """
        if self.key is not None and self.service.api_keys is not None:
            self.service.api_keys.charge(self.key, runs // RUNS_PER_REQUEST)

    def capture(self, model: Model, asked: Sequence[Batch], outputs: Sequence[Outputs]) -> None:
        """Keep a few facts of the answer, where the function is told to."""
        if self.service.settings.capture:
            with self.step("capture"):
                self.service.capture(model, asked, outputs)

    def step(self, name: str) -> Step:
        """Count the time of a step, as long as the context lasts."""
        return Step(self.steps_s, name)

    def total_s(self) -> float:
        """The time since the request came."""
        return time.perf_counter() - self._started_s


class Step:
    """A context whose seconds are added to those of its name; as a generator it would take three times as long."""

    __slots__ = ("_name", "_seconds", "_started_s")

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        """Take where to add."""
        self._seconds = seconds
        self._name = name

    def __enter__(self) -> None:
        self._started_s = time.perf_counter()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        found_s = time.perf_counter() - self._started_s
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + found_s
