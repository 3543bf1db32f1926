"""Reader: the models, versions and aliases of a registry, and each version's artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.contract.alias import Alias
from onnxlet.contract.document import MAX_STATE_BYTES
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ManifestError, ModelNotFoundError, ObjectNotFoundError, TooLargeError
from onnxlet.limits import MAX_LISTED_DOCUMENTS
from onnxlet.registry.artifacts import Artifacts
from onnxlet.storage import Revision, Store, Stored, open_store

if TYPE_CHECKING:
    from onnxlet.settings import Settings

if TYPE_CHECKING:
    from onnxlet.contract.example import Example


class RegistryReader:
    """The models below one root URL; `onnxlet.contract` states the layout and the rules."""

    def __init__(
        self, store: Store, artifacts: Artifacts | None = None, largest_alias_bytes: int = MAX_STATE_BYTES
    ) -> None:
        """Wrap the store whose root is the registry's.

        Args:
            store: The store.
            artifacts: The registry's artifacts, if some of them are already being fetched.
            largest_alias_bytes: The largest alias that is read; a writer that will shorten it may read a larger one.
        """
        self.store = store
        self.artifacts = artifacts or Artifacts(store)
        self._largest_alias_bytes = largest_alias_bytes
        self._prefetched: dict[str, tuple[Alias, Revision]] = {}

    @classmethod
    def open(cls, settings: Settings) -> RegistryReader:
        """Open the registry of a function.

        Raises:
            InvalidNameError, BucketNotFoundError: the registry's URL is malformed, or its folder does not exist.
            SettingsError: the cache's folder cannot be used.
        """
        cache = None
        if settings.cache:
            from onnxlet.storage.disk_cache import DiskCache  # few functions have a disk cache

            cache = DiskCache(settings.cache.folder, settings.cache.limit_bytes)
        store = open_store(settings.registry, settings.storage)
        return cls(store, Artifacts(store, cache))

    def reopen(self, store: Store) -> None:
        """Continue with another connection to the same store."""
        self.store = store
        self.artifacts.reopen(store)

    def expect(self, name: str, stored: Stored) -> Manifest:
        """Keep a model's live alias, which was just read, for its first reader; return the alias's manifest.

        Raises:
            ManifestError: the alias breaks the contract.
        """
        alias = parse_alias(name, layout.LIVE, layout.alias_key(name, layout.LIVE), stored.data)
        self._prefetched[name] = alias, stored.revision
        return alias.manifest

    def resolve(self, name: str, alias: str = layout.LIVE) -> Manifest:
        """Return the manifest that an alias names, with one read.

        Raises:
            ModelNotFoundError: the model does not exist, or has no such alias.
            ManifestError: the alias breaks the contract.
            StoreError: the store does not answer.
        """
        return self.alias(name, alias).manifest

    def alias(self, name: str, alias: str = layout.LIVE) -> Alias:
        """Return an alias with its history; raises the errors of `resolve`."""
        return self.alias_state(name, alias)[0]

    def alias_state(self, name: str, alias: str = layout.LIVE) -> tuple[Alias, Revision]:
        """Return an alias with its revision; raises the errors of `resolve`."""
        prefetched = self._prefetched.pop(name, None) if alias == layout.LIVE else None
        state = prefetched or self._read_alias(name, alias)
        if state is None:
            raise self._not_found(name, f'no alias "{alias}"')
        return state

    def alias_if_changed(self, name: str, alias: str, revision: Revision) -> tuple[Alias, Revision] | None:
        """Return an alias with its revision, or None if it is still at `revision`; raises the errors of `resolve`."""
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        try:
            stored = self.store.read_if_changed(key, revision)
        except ObjectNotFoundError as error:
            raise self._not_found(name, f'no alias "{alias}"') from error
        return None if stored is None else (parse_alias(name, alias, key, stored.data), stored.revision)

    def version(self, name: str, version: int) -> Manifest:
        """Return the manifest of one version; raises the errors of `resolve`."""
        key = layout.version_key(layout.parse_name(name), version)
        try:
            data = self.store.read(key).data
        except ObjectNotFoundError as error:
            raise self._not_found(name, f"no version {version}") from error
        manifest = Manifest.from_json(data, key)
        if (manifest.model, manifest.version) != (name, version):
            raise ManifestError(f"{key}: expected {name} version {version}, got {manifest.model} {manifest.version}")
        return manifest

    def models(self) -> list[str]:
        """Return the sorted names of all models."""
        return [name for name in self.store.children(layout.MODELS_PREFIX) if layout.is_name(name)]

    def catalogue(self, at_most: int = MAX_LISTED_DOCUMENTS) -> dict[str, list[int]]:
        """Return the versions of all models in order, by name, from one listing of the registry.

        Args:
            at_most: The largest number of documents to list.

        Raises:
            TooLargeError: the registry has more documents.
            StoreError: the store does not answer.
        """
        versions: dict[str, list[int]] = {}
        for count, key in enumerate(self.store.keys(layout.MODELS_PREFIX)):
            if count == at_most:
                raise TooLargeError(
                    f"the registry has more than the {at_most} documents that an index lists: request one model by name"
                )
            name = key.split("/")[1]
            version = layout.version_of_key(name, key) if layout.is_name(name) else None
            if version is not None:
                versions.setdefault(name, []).append(version)
        return {name: sorted(versions[name]) for name in sorted(versions)}

    def versions(self, name: str) -> list[int]:
        """Return the versions of a model in order; an unknown model has no versions."""
        prefix = f"{layout.model_prefix(layout.parse_name(name))}/versions"
        versions = (layout.version_of_key(name, f"{prefix}/{child}") for child in self.store.children(prefix))
        return sorted(version for version in versions if version is not None)

    def aliases(self, name: str) -> list[Alias]:
        """Return the aliases of a model, by name."""
        children = self.store.children(f"{layout.model_prefix(layout.parse_name(name))}/aliases")
        return [self.alias(name, child.removesuffix(".json")) for child in children if child.endswith(".json")]

    def golden(self, manifest: Manifest) -> Golden | None:
        """Return a version's golden example, or None if it was published without one.

        Raises:
            ArtifactError, StoreError: see `Artifacts.read`.
            ManifestError: the example breaks the contract.
        """
        artifact = manifest.artifact("golden")
        if artifact is None:
            return None
        return Golden.from_json(bytes(self.artifacts.read(artifact)), layout.blob_key(artifact.sha256))

    def example(self, manifest: Manifest) -> Example | None:
        """Return a version's example of a payload, or None if it was published without one.

        Raises:
            ArtifactError, StoreError: see `Artifacts.read`.
            ManifestError: the example breaks the contract.
        """
        artifact = manifest.artifact("example")
        if artifact is None:
            return None
        from onnxlet.contract.example import Example  # only the page and the command ask for it

        return Example.from_json(bytes(self.artifacts.read(artifact)), layout.blob_key(artifact.sha256))

    def _read_alias(self, name: str, alias: str) -> tuple[Alias, Revision] | None:
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        try:
            stored = self.store.read(key)
        except ObjectNotFoundError:
            return None
        return parse_alias(name, alias, key, stored.data, self._largest_alias_bytes), stored.revision

    def _not_found(self, name: str, problem: str) -> ModelNotFoundError:
        versions = self.versions(name)
        if versions:
            return ModelNotFoundError(f'model "{name}": {problem}; it has the versions {", ".join(map(str, versions))}')
        return ModelNotFoundError(f'model "{name}": not in the registry {self.store.url}')


def parse_alias(name: str, alias: str, key: str, data: bytes, at_most: int = MAX_STATE_BYTES) -> Alias:
    """Read the bytes of an alias.

    Raises:
        ManifestError: they break the contract, or belong to another alias.
    """
    parsed = Alias.from_json(data, key, at_most)
    if (parsed.manifest.model, parsed.name) != (name, alias):
        raise ManifestError(f"{key}: expected {name}@{alias}, got {parsed.manifest.model}@{parsed.name}")
    return parsed
