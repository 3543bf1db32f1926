"""One function's parts: its settings, its models, and the places that it reads and writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxlet import notices, session
from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InvalidNameError, InvalidRequestError, ModelNotFoundError, SettingsError
from onnxlet.limits import memory
from onnxlet.models.cache import Models, run_ahead
from onnxlet.models.model import Model
from onnxlet.models.traffic import Selection, Traffic
from onnxlet.observe.model_statistics import Statistics
from onnxlet.registry.prefetch import Prefetch
from onnxlet.registry.reader import RegistryReader
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.allowed_objects import AllowedObjects
from onnxlet.tasks.rows import Batch, Outputs

if TYPE_CHECKING:
    from onnxlet.access.key_check import ApiKeys

MAX_BUCKETS = 16
"""The number of buckets that stay connected. The events of a function come from one bucket, or a few."""


class Service:
    """The parts that requests and events share. Each is opened by its first use: a store's threads survive no fork."""

    def __init__(self, settings: Settings, prefetched: Prefetch | None = None) -> None:
        self.settings = settings
        self._prefetched = prefetched
        self.statistics = Statistics()
        self.allowed_objects = AllowedObjects(settings.inputs, self.bucket)
        self._opening = threading.Lock()
        self._traffic: Traffic | None = None
        self._budget: memory.Budget | None = None
        self._results: Store | None = None
        self._buckets: dict[str, Store] = {}
        self.api_keys = self._open_api_keys()

    @property
    def traffic(self) -> Traffic:
        """The loaded models, and the rules by which they answer.

        Raises:
            InvalidNameError, BucketNotFoundError: there is no store at the registry's URL.
            SettingsError: the folder of the cache cannot be used.
        """
        with self._opening:
            if self._traffic is None:
                settings = self.settings
                registry = (self._prefetched and self._prefetched.registry()) or RegistryReader.open(settings)
                models = Models(
                    registry, settings.threads, settings.memory_bytes, settings.variant, settings.public_keys
                )
                self._traffic = Traffic(models, settings.refresh_s)
            return self._traffic

    @property
    def budget(self) -> memory.Budget:
        """The memory that all requests and objects share."""
        with self._opening:
            if self._budget is None:
                self._budget = memory.Budget.of(self.settings.function_bytes, self.settings.memory_bytes)
            return self._budget

    @property
    def results(self) -> Store:
        """The place where results are written.

        Raises:
            SettingsError: `ONNXLET_RESULTS` is not set.
            InvalidNameError: `ONNXLET_RESULTS` is not the URL of a store.
        """
        if self.settings.results is None:
            raise SettingsError("ONNXLET_RESULTS: expected the root URL under which results are written, got nothing")
        with self._opening:
            if self._results is None:
                self._results = open_store(self.settings.results, self.settings.storage, create=True)
            return self._results

    def bucket(self, url: str) -> Store:
        """Return a bucket that an event or a request names; its connections stay open for the next object.

        Raises:
            InvalidNameError: the URL is not that of a whole bucket.
        """
        if "/" in url.partition("://")[2]:
            raise InvalidNameError(f"{url!r:.200}: expected a bucket, got a path in a bucket")
        with self._opening:
            if url not in self._buckets:
                if len(self._buckets) == MAX_BUCKETS:
                    self._buckets.clear()
                self._buckets[url] = open_store(url, self.settings.storage)
            return self._buckets[url]

    def warm_up(self) -> None:
        """Load ONNX Runtime and the default model, and run the model once unless a request already waits.

        Raises:
            OnnxletError: as for `find`.
        """
        if self.settings.model is not None:
            session.prepare()
            model = self.find(None).model
            if not self.settings.is_on_demand:
                run_ahead(model)

    def capture(self, model: Model, batches: Sequence[Batch], outputs: Sequence[Outputs]) -> None:
        """Keep a sample of the answers in the store. An error is only logged."""
        import random  # most functions keep nothing

        if random.random() >= self.settings.capture:  # noqa: S311 - a sample, not a secret
            return
        try:
            from onnxlet.observe import capture

            capture.write(self.results, model, batches, outputs, has_inputs=self.settings.capture_inputs)
        except Exception as error:
            notices.warning("an answer of %s was not captured: %s", model.manifest.model, error)

    def reopen(self) -> None:
        """Connect and read all aliases again, after a snapshot was restored: this process's clock has stood still."""
        if self.api_keys is not None:
            self.api_keys.forget()
        with self._opening:
            self._results = None
            self._buckets.clear()
            traffic = self._traffic
        if traffic is not None:
            traffic.models.registry.reopen(open_store(self.settings.registry, self.settings.storage))
            traffic.refresh_all()

    def _open_api_keys(self) -> ApiKeys | None:
        """Return the check of API keys; None if the function requires none."""
        if not self.settings.requires_keys:
            return None
        from onnxlet.access.key_check import ApiKeys  # most functions require no keys

        return ApiKeys(lambda: self.traffic.models.registry.store, lambda: self.results, self.settings.refresh_s)

    def find(self, selector: str | None, version: str | None = None, routing_key: str | None = None) -> Selection:
        """Return the model that answers, and load it if necessary.

        Args:
            selector: `name` or `name@alias`; None for the default model.
            version: A version of the model, instead of an alias.
            routing_key: Equal keys get the same version as long as the shares of the alias do not change.

        Raises:
            InvalidNameError, InvalidRequestError: the selector or the version is not a possible name.
            ModelNotFoundError: there is no such model, or no default model.
            OnnxletError: as for `Traffic.route`.
        """
        selector = self.settings.model if selector is None else selector
        if selector is None:
            raise ModelNotFoundError("the request names no model, and ONNXLET_MODEL sets no default")
        name, alias = _parse_selector(selector, version)
        if version is None:
            return self.traffic.route(name, alias, routing_key)
        return Selection(self.traffic.models.get_version(name, layout.parse_version(version)))

    def manifest(self, selector: str, version: str | None = None) -> Manifest:
        """Return the manifest of a model as the registry has it now, without loading the model.

        Args:
            selector: `name` or `name@alias`.
            version: A version of the model, instead of an alias.

        Raises:
            InvalidNameError, InvalidRequestError: the selector or the version is not a possible name.
            ModelNotFoundError, ManifestError, StoreError: as for `RegistryReader.resolve`.
        """
        name, alias = _parse_selector(selector, version)
        registry = self.traffic.models.registry
        return (
            registry.resolve(name, alias) if version is None else registry.version(name, layout.parse_version(version))
        )


def _parse_selector(selector: str, version: str | None) -> tuple[str, str]:
    """Return the name and the alias of `name` or `name@alias`."""
    name, has_alias, alias = selector.partition("@")
    layout.parse_name(name)
    if has_alias and version is not None:
        raise InvalidRequestError(f"{selector!r:.200}: expected an alias or a version, got both")
    return name, layout.parse_alias(alias) if has_alias else layout.LIVE
