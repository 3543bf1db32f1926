"""The exchange: one request being answered, the model that answers it, and the time that each step takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ForbiddenError, OnnxletError
from onnxlet.http import Request
from onnxlet.limits import RUNS_PER_REQUEST
from onnxlet.models.model import Model
from onnxlet.models.traffic import Selection
from onnxlet.service import Service
from onnxlet.tasks.rows import Batch, Outputs

if TYPE_CHECKING:
    from onnxlet.contract.api_keys import Key

KEY = "onnxlet-key"
"""The header that decides which version of a canary answers: equal values get the same version. Without the header, the
request's own id decides."""

UNREAD = Request("", "")
"""The request of an exchange until its real one has been read."""

Item = TypeVar("Item")


class Exchange:
    """One request with its model, API key and times, which the steps of the answer share."""

    def __init__(self, service: Service, request: Request = UNREAD, model: Model | None = None) -> None:
        """Start the clock.

        Args:
            service: The function's parts.
            request: The request.
            model: The model that answers, whatever the request names: a shadow. None lets the request decide.
        """
        self.service = service
        self.request = request
        self.key: Key | None = None
        """The API key that admitted the request; None if none is required."""
        self.route = ""
        """The pattern of the path."""
        self.routed: Selection | None = None if model is None else Selection(model)
        self.rows: int | None = None
        self.headers: dict[str, str] = {}
        """Headers that the response gets from the steps of the answer."""
        self.error: OnnxletError | None = None
        """The reason why there is no answer."""
        self.steps_s: dict[str, float] = {}
        """The time of each step, without the time of the steps inside it."""
        self._started_s = time.perf_counter()
        self._open_steps: list[str] = []

    def find(self, reference: str | None, version: str | None = None, request_id: str | None = None) -> Model:
        """Return the model that answers, and load it if necessary.

        Args:
            reference: `name` or `name@alias`; None for the default model.
            version: A version of the model, instead of an alias.
            request_id: The client's own name for the request, if its body has one.

        Raises:
            ForbiddenError: the API key may not name the model, whether it exists or not.
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
        """Return the manifest of a model without loading it; raise as `require` and `Service.manifest` do."""
        self.require(reference)
        return self.service.manifest(reference, version)

    def require(self, reference: str) -> None:
        """Refuse a model that the API key may not name.

        Raises:
            ForbiddenError: the key may not name it.
        """
        if not self.may_use(reference):
            raise ForbiddenError(f"{reference!r:.80}: this API key may not name this model")

    def may_use(self, reference: str) -> bool:
        """Return whether the request may name a model, given as `name` or `name@alias`."""
        return self.key is None or self.key.may_use(reference.partition("@")[0])

    def charge(self, runs: int) -> None:
        """Charge the API key's quota for runs of a model beyond those of an ordinary request, before they run.

        Raises:
            QuotaExceededError: too little of the key's quota is left today.
            StoreError: the quota cannot be counted.
        """
        if self.key is not None and self.service.api_keys is not None:
            self.service.api_keys.charge(self.key, runs // RUNS_PER_REQUEST)

    def capture(self, model: Model, batches: Sequence[Batch], outputs: Sequence[Outputs]) -> None:
        """Keep a sample of the answers, if the operator has switched that on."""
        if self.service.settings.capture:
            with self.step("capture"):
                self.service.capture(model, batches, outputs)

    def step(self, name: str) -> Step:
        """Return a context that measures a step."""
        return Step(name, self._open_steps, self.steps_s)

    def timed(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, and measure as a step the time in which they are made."""
        iterator = iter(items)
        while True:
            with self.step(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def total_s(self) -> float:
        """Return the time since the request arrived."""
        return time.perf_counter() - self._started_s


class Step:
    """A context whose duration is added to its name's; a step around it does not count that time.

    It is a class because a generator would take three times as long.
    """

    __slots__ = ("_name", "_open", "_started_s", "_steps_s")

    def __init__(self, name: str, open_steps: list[str], steps_s: dict[str, float]) -> None:
        self._name = name
        self._open = open_steps
        self._steps_s = steps_s

    def __enter__(self) -> None:
        self._open.append(self._name)
        self._started_s = time.perf_counter()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        duration_s = time.perf_counter() - self._started_s
        self._open.pop()
        self._add(self._name, duration_s)
        if self._open:
            self._add(self._open[-1], -duration_s)

    def _add(self, name: str, duration_s: float) -> None:
        self._steps_s[name] = self._steps_s.get(name, 0.0) + duration_s
