"""One function's parts: its settings, its models, and the places that it reads and writes."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxlet import memory, session
from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InvalidNameError, InvalidRequestError, ModelNotFoundError, SettingsError
from onnxlet.models.batches import Batch, Outputs
from onnxlet.models.cache import Models, run_ahead
from onnxlet.models.model import Model
from onnxlet.models.traffic import Selection, Traffic
from onnxlet.observe.statistics import Statistics
from onnxlet.registry.prefetch import Prefetch
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.allowed_objects import AllowedObjects

if TYPE_CHECKING:
    from onnxlet.access.api_keys import ApiKeys

logger = logging.getLogger("onnxlet")

MAX_BUCKETS = 16
"""That connections are kept to: a function's events come from one, or a few."""


class Service:
    """What answers need. Nothing is opened before it is used: the threads of a store do not survive a fork."""

    def __init__(self, settings: Settings, prefetched: Prefetch | None = None) -> None:
        """Take the settings, and the default model where it is already on its way; nothing else is read yet."""
        self.settings = settings
        self._prefetched = prefetched
        self.statistics = Statistics()
        self.references = AllowedObjects(settings.inputs, self.bucket)
        self._opening = threading.Lock()
        self._traffic: Traffic | None = None
        self._budget: memory.Budget | None = None
        self._results: Store | None = None
        self._buckets: dict[str, Store] = {}
        self.api_keys = self._open_api_keys()

    @property
    def traffic(self) -> Traffic:
        """The loaded models, and which of them answers.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL leads nowhere.
            SettingsError: the cache's folder cannot be used.
        """
        with self._opening:
            if self._traffic is None:
                settings = self.settings
                registry = (self._prefetched and self._prefetched.registry()) or Registry.open(settings)
                models = Models(
                    registry, settings.threads, settings.memory_bytes, settings.variant, settings.public_keys
                )
                self._traffic = Traffic(models, settings.refresh_s)
            return self._traffic

    @property
    def budget(self) -> memory.Budget:
        """What requests and objects may take of the memory together."""
        with self._opening:
            if self._budget is None:
                self._budget = memory.Budget.of(self.settings.function_bytes, self.settings.memory_bytes)
            return self._budget

    @property
    def results(self) -> Store:
        """Where results are written.

        Raises:
            SettingsError: `ONNXLET_RESULTS` is not set.
            InvalidNameError: it leads nowhere.
        """
        if self.settings.results is None:
            raise SettingsError("ONNXLET_RESULTS: expected the root URL under which results are written, got nothing")
        with self._opening:
            if self._results is None:
                self._results = open_store(self.settings.results, self.settings.storage, create=True)
            return self._results

    def bucket(self, url: str) -> Store:
        """A bucket that events or requests name; its connections stay open for the next object.

        Raises:
            InvalidNameError: it leads nowhere, or to a part of a bucket.
        """
        if "/" in url.partition("://")[2]:
            raise InvalidNameError(f"{url!r:.200}: expected a bucket, got more than its name")
        with self._opening:
            if url not in self._buckets:
                if len(self._buckets) == MAX_BUCKETS:
                    self._buckets.clear()
                self._buckets[url] = open_store(url, self.settings.storage)
            return self._buckets[url]

    def warm_up(self) -> None:
        """Make ready for the first request: load ONNX Runtime and the default model; run it, if no request waits yet.

        Raises:
            OnnxletError: as `find`.
        """
        if self.settings.model is not None:
            session.prepare()
            model = self.find(None).model
            if not self.settings.is_on_demand:
                run_ahead(model)

    def capture(self, model: Model, asked: Sequence[Batch], outputs: Sequence[Outputs]) -> None:
        """Keep a few facts of an answer, if it is one of the sampled ones; what goes wrong with that is only logged."""
        if random.random() >= self.settings.capture:  # noqa: S311 - a sample, not a secret
            return
        try:
            from onnxlet.observe import capture  # most functions keep nothing

            capture.write(self.results, model, asked, outputs, has_inputs=self.settings.capture_inputs)
        except Exception as error:  # the answer itself is there
            logger.warning("an answer of %s was not captured: %s", model.manifest.model, error)

    def reopen(self) -> None:
        """Connect anew, and look whether aliases have moved: time has passed that no clock of this process counted."""
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
        """What lets requests in, where not everybody may ask."""
        if not self.settings.requires_keys:
            return None
        from onnxlet.access.api_keys import ApiKeys  # most functions ask nobody for a key

        return ApiKeys(lambda: self.traffic.models.registry.store, lambda: self.results, self.settings.refresh_s)

    def find(self, reference: str | None, version: str | None = None, key: str | None = None) -> Selection:
        """Who answers for what a request names.

        Args:
            reference: `name` or `name@alias`; None for the default model.
            version: A version of it, instead of an alias.
            key: What must come to the same version again and again while an alias's shares do not change.

        Raises:
            InvalidNameError, InvalidRequestError: not a possible name.
            ModelNotFoundError: no such model, or none is named and there is no default; or as `Traffic.route`.
        """
        if reference is None:
            reference = self.settings.model
        if reference is None:
            raise ModelNotFoundError("no model is named, and ONNXLET_MODEL sets no default")
        name, alias = _parse_reference(reference, version)
        if version is None:
            return self.traffic.route(name, alias, key)
        return Selection(self.traffic.models.get_version(name, layout.parse_version(version)))

    def manifest(self, reference: str, version: str | None = None) -> Manifest:
        """The manifest of what a request names, as the registry has it now; nothing is loaded.

        Args:
            reference: `name` or `name@alias`.
            version: A version of it, instead of an alias.

        Raises:
            InvalidNameError, InvalidRequestError: not a possible name.
            ModelNotFoundError, ManifestError, StoreError: as `Registry.resolve`.
        """
        name, alias = _parse_reference(reference, version)
        registry = self.traffic.models.registry
        return (
            registry.resolve(name, alias) if version is None else registry.version(name, layout.parse_version(version))
        )


def _parse_reference(reference: str, version: str | None) -> tuple[str, str]:
    """The name and the alias of `name` or `name@alias`."""
    name, has_alias, alias = reference.partition("@")
    layout.parse_name(name)
    if has_alias and version is not None:
        raise InvalidRequestError(f"{reference!r:.200}: expected an alias or a version, got both")
    return name, layout.parse_alias(alias) if has_alias else layout.LIVE
