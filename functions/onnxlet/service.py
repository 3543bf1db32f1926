"""One function's parts: its settings, its models, and the places that it reads and writes."""

import threading

from onnxlet import payloads
from onnxlet.config import Settings
from onnxlet.contract import layout
from onnxlet.disk_cache import DiskCache
from onnxlet.errors import InvalidRequestError, ModelNotFoundError, SettingsError
from onnxlet.models import Models
from onnxlet.references import References
from onnxlet.registry import Registry
from onnxlet.store import Store, open_store
from onnxlet.traffic import Routed, Traffic
from onnxlet.triton import Statistics


class Service:
    """What answers need. Nothing is opened before it is used: the threads of a store do not survive a fork."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is read yet."""
        self.settings = settings
        self.statistics = Statistics()
        self.references = References(settings.inputs, settings.storage)
        self._opening = threading.Lock()
        self._traffic: Traffic | None = None
        self._results: Store | None = None

    @property
    def traffic(self) -> Traffic:
        """The loaded models, and which of them answers.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL leads nowhere.
            SettingsError: the cache's folder cannot be used.
        """
        with self._opening:
            if self._traffic is None:
                self._traffic = _open_traffic(self.settings)
            return self._traffic

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

    def warm_up(self) -> None:
        """Make ready for the first request: load the default model, run it once, import its payloads' decoder.

        Raises:
            OnnxletError: as `find`.
        """
        if self.settings.model is not None:
            payloads.prepare(self.find(None).model)

    def find(self, reference: str | None, version: str | None = None, key: str | None = None) -> Routed:
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
        name, has_alias, alias = reference.partition("@")
        layout.parse_name(name)
        if version is None:
            return self.traffic.route(name, layout.parse_alias(alias) if has_alias else layout.LIVE, key)
        if has_alias:
            raise InvalidRequestError(f"{reference!r:.200}: expected an alias or a version, got both")
        return Routed(self.traffic.models.get_version(name, layout.parse_version(version)))


def _open_traffic(settings: Settings) -> Traffic:
    cache = DiskCache(settings.cache.folder, settings.cache.limit_bytes) if settings.cache else None
    registry = Registry(open_store(settings.registry, settings.storage), cache)
    return Traffic(Models(registry, settings.threads, settings.memory_bytes, settings.variant), settings.refresh_s)
