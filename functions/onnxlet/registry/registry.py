"""The registry: (name, alias or version) -> manifest; publish, promote, rollback."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from onnxlet.contract import alias as actions
from onnxlet.contract import layout
from onnxlet.contract.alias import Alias, Move
from onnxlet.contract.document import MAX_STATE_BYTES
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import (
    ConflictError,
    InvalidRequestError,
    ManifestError,
    ModelNotFoundError,
    ObjectNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.limits import MAX_LISTED_DOCUMENTS
from onnxlet.record import replace
from onnxlet.registry.artifacts import Artifacts
from onnxlet.settings import Settings
from onnxlet.storage import Revision, Store, Stored, open_store

Sign = Callable[[Manifest], Manifest]
"""Gives a manifest with its publisher's signature."""

MAX_SWAPS = 100
"""How often a writer tries again to move an alias that others move at the same time."""


class Registry:
    """The models under one root of object storage; `onnxlet.contract` states its layout and rules."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts | None = None,
        largest_alias_bytes: int = MAX_STATE_BYTES,
        *,
        allows_unconditional_writes: bool = False,
    ) -> None:
        """Begin.

        Args:
            store: The store whose root is the registry's.
            artifacts: Its artifacts, where some are on their way already.
            largest_alias_bytes: How large an alias is read; whoever writes a smaller one in its place reads more.
            allows_unconditional_writes: Publish also into a store that does not keep the conditions of writes.
        """
        self.store = store
        self._largest_alias_bytes = largest_alias_bytes
        self.allows_unconditional_writes = allows_unconditional_writes
        self.artifacts = artifacts or Artifacts(store)
        self._expected: dict[str, tuple[Alias, Revision]] = {}

    @classmethod
    def open(cls, settings: Settings) -> "Registry":
        """Open the registry of a function.

        Raises:
            InvalidNameError, BucketNotFoundError: its URL leads nowhere.
            SettingsError: the cache's folder cannot be used.
        """
        cache = None
        if settings.cache:
            from onnxlet.storage.disk_cache import DiskCache  # few functions have one

            cache = DiskCache(settings.cache.folder, settings.cache.limit_bytes)
        store = open_store(settings.registry, settings.storage)
        return cls(store, Artifacts(store, cache))

    def reopen(self, store: Store) -> None:
        """Go on with another connection to the same store."""
        self.store = store
        self.artifacts.reopen(store)

    def expect(self, name: str, stored: Stored) -> Manifest:
        """Take a model's live alias as it was just read, for who first asks for it; gives the manifest that it names.

        Raises:
            ManifestError: it breaks the contract.
        """
        alias = _parse_alias(name, layout.LIVE, layout.alias_key(name, layout.LIVE), stored.data)
        self._expected[name] = alias, stored.revision
        return alias.manifest

    def resolve(self, name: str, alias: str = layout.LIVE) -> Manifest:
        """The manifest that an alias names, in one read.

        Raises:
            ModelNotFoundError: no such model, or no such alias of it.
            ManifestError: the alias breaks the contract.
            StoreError: the store does not answer.
        """
        return self.alias(name, alias).manifest

    def alias(self, name: str, alias: str = layout.LIVE) -> Alias:
        """An alias with its history; raises as `resolve` does."""
        return self.alias_state(name, alias)[0]

    def alias_state(self, name: str, alias: str = layout.LIVE) -> tuple[Alias, Revision]:
        """An alias and the state that it is in; raises as `resolve` does."""
        expected = self._expected.pop(name, None) if alias == layout.LIVE else None
        found = expected or self._read_alias(name, alias)
        if found is None:
            raise self._not_found(name, f'no alias "{alias}"')
        return found

    def alias_if_changed(self, name: str, alias: str, revision: Revision) -> tuple[Alias, Revision] | None:
        """As `alias_state`, or None where the alias is still in the state that is known."""
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        try:
            stored = self.store.read_if_changed(key, revision)
        except ObjectNotFoundError as error:
            raise self._not_found(name, f'no alias "{alias}"') from error
        return None if stored is None else (_parse_alias(name, alias, key, stored.data), stored.revision)

    def version(self, name: str, version: int) -> Manifest:
        """The manifest of one version; raises as `resolve` does."""
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
        """The names of all models, sorted."""
        return [name for name in self.store.children(layout.MODELS_PREFIX) if layout.is_name(name)]

    def catalogue(self, at_most: int = MAX_LISTED_DOCUMENTS) -> dict[str, list[int]]:
        """Return the versions of all models, ascending, by the models' names, sorted, from one listing of the registry.

        Args:
            at_most: How many documents of models the listing may go through.

        Raises:
            TooLargeError: The registry has more documents.
            StoreError: The store does not answer.
        """
        found: dict[str, list[int]] = {}
        for count, key in enumerate(self.store.keys(layout.MODELS_PREFIX)):
            if count == at_most:
                raise TooLargeError(
                    f"the registry has more than the {at_most} documents that an index lists: ask for one model by name"
                )
            name = key.split("/")[1]
            version = layout.version_of_key(name, key) if layout.is_name(name) else None
            if version is not None:
                found.setdefault(name, []).append(version)
        return {name: sorted(found[name]) for name in sorted(found)}

    def versions(self, name: str) -> list[int]:
        """The versions of a model, ascending; empty where there is no such model."""
        prefix = f"{layout.model_prefix(layout.parse_name(name))}/versions"
        found = (layout.version_of_key(name, f"{prefix}/{child}") for child in self.store.children(prefix))
        return sorted(version for version in found if version is not None)

    def aliases(self, name: str) -> list[Alias]:
        """The aliases of a model, by name."""
        children = self.store.children(f"{layout.model_prefix(layout.parse_name(name))}/aliases")
        return [self.alias(name, child.removesuffix(".json")) for child in children if child.endswith(".json")]

    def golden(self, manifest: Manifest) -> Golden | None:
        """A version's golden example, or None where it was published without one.

        Raises:
            ArtifactError, StoreError: as `Artifacts.open`.
            ManifestError: it breaks the contract.
        """
        artifact = manifest.artifact("golden")
        if artifact is None:
            return None
        return Golden.from_json(bytes(self.artifacts.read(artifact)), layout.blob_key(artifact.sha256))

    def publish(
        self,
        draft: Manifest,
        blobs: Mapping[str, bytes],
        alias: str | None = layout.LIVE,
        sign: Sign | None = None,
    ) -> Manifest:
        """Store a new version and, unless `alias` is None, make the alias name it.

        The order of the writes is what keeps a half-finished publication invisible: blobs, manifest, alias.

        Args:
            draft: The manifest; its version is replaced by the next free one, and its signature is of no other.
            blobs: The bytes of the draft's artifacts, by their SHA-256.
            alias: The alias that shall name the new version.
            sign: Signs the new version.

        Returns:
            The manifest as it was stored.

        Raises:
            ConflictError: an alias that others move faster than we can.
            StoreError: the store does not answer.
        """
        layout.parse_name(draft.model)
        for sha256, data in blobs.items():
            self.store.put_if_absent(layout.blob_key(sha256), data)
        manifest = self._put_manifest(draft, sign)
        if alias is not None:
            self._move(manifest.model, alias, actions.PUBLISH, lambda _current: manifest)
        return manifest

    def adopt(self, other: "Registry", name: str, version: int) -> Manifest:
        """Store a version of another registry byte for byte, under its own number; its artifacts are stored already.

        Its signature, which is of the number too, stays good. No alias names the version yet.

        Returns:
            The manifest.

        Raises:
            ModelNotFoundError: The other registry has no such version.
            ConflictError: This registry has another version of this number.
            StoreError: A store does not answer, or this one does not keep the conditions of writes.
        """
        manifest = other.version(name, version)
        key = layout.version_key(name, version)
        self.require_conditions()
        self.store.put_if_absent(key, other.store.read(key).data)
        return manifest

    def promote(self, name: str, version: int, alias: str = layout.LIVE) -> Manifest:
        """Make an alias name an existing version; returns that version's manifest, raises as `resolve` does."""
        manifest = self.version(name, version)
        return self._move(name, alias, actions.PROMOTE, lambda _current: manifest)

    def rollback(self, name: str, alias: str = layout.LIVE) -> Manifest:
        """Make an alias name the version that it named before; returns its manifest, raises as `resolve` does.

        Raises:
            ModelNotFoundError: also where no earlier version is left to go back to.
        """

        def previous(current: Alias | None) -> Manifest:
            if current is None:
                raise self._not_found(name, f'no alias "{alias}"')
            version = current.previous_version()
            if version is None:
                raise ModelNotFoundError(
                    f'model "{name}": nothing to roll back to, "{alias}" has named no version before '
                    f"{current.manifest.version} that it keeps (the last {actions.MAX_MOVES}); "
                    f"onnxlet promote {name} VERSION names any version"
                )
            return self.version(name, version)

        return self._move(name, alias, actions.ROLLBACK, previous)

    def share(self, name: str, version: int, action: str, weight: float, alias: str = layout.LIVE) -> Manifest:
        """Give a version a share of an alias's requests; returns its manifest, raises as `resolve` does.

        Args:
            name: The model.
            version: The version beside the one that the alias names.
            action: `canary`: it answers its share. `shadow`: it gets copies, and its answers are only logged.
            weight: The share, from 0 (which ends it) to 1.
            alias: The alias.

        Raises:
            InvalidRequestError: a weight outside 0 to 1, or the version that the alias names itself.
        """
        if not 0 <= weight <= 1:
            raise InvalidRequestError(f"weight: expected a share from 0 to 1, got {weight}")

        def other(current: Alias | None) -> Manifest:
            if current is None:
                raise self._not_found(name, f'no alias "{alias}"')
            if weight and current.manifest.version == version:
                raise InvalidRequestError(f'model "{name}": version {version} is what "{alias}" names already')
            return manifest

        manifest = self.version(name, version)
        return self._move(name, alias, action, other, weight)

    def _put_manifest(self, draft: Manifest, sign: Sign | None) -> Manifest:
        """Store a manifest under the next free version: no two publishers can ever share a number."""
        version = max(self.versions(draft.model), default=0) + 1
        if version == 1:
            self.require_conditions()
        while True:
            manifest = replace(draft, version=version, signature={})
            manifest = sign(manifest) if sign else manifest
            key, data = layout.version_key(draft.model, version), manifest.to_json()
            Manifest.from_json(data, key)  # nothing is written that could not be read back
            try:
                self.store.put_if_absent(key, data)
            except ConflictError:
                other = self.version(draft.model, version)
                if other.provenance.publication == draft.provenance.publication:  # our own, of an earlier attempt
                    return other
                version += 1
            else:
                return manifest

    def require_conditions(self) -> None:
        """Refuse a store in which two publishers at once would overwrite each other's versions.

        Raises:
            StoreError: it does not keep the conditions of writes.
        """
        if self.allows_unconditional_writes:
            return
        missing = self.store.missing_condition(layout.PROBE_KEY, layout.PROBE)
        if missing is not None:
            raise StoreError(
                f"{self.store.url}: expected a store that keeps the conditions of writes, got one that ignores "
                f"{missing}: two publishers at once would overwrite each other's versions. Use another store, or set "
                "ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1 and publish from one place at a time"
            )

    def _move(
        self,
        name: str,
        alias: str,
        action: str,
        target: Callable[[Alias | None], Manifest],
        weight: float | None = None,
    ) -> Manifest:
        """Move an alias to the version that `target` picks, seeing the alias as it is at that moment."""
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        sent: dict[str, Manifest] = {}
        for attempt in range(MAX_SWAPS):
            current, revision = self._read_alias(name, alias) or (None, None)
            arrived = [sent[move.id] for move in (current.history if current else ()) if move.id in sent]
            if arrived:  # its reply was lost, and others have moved the alias since
                return arrived[0]
            manifest = target(current)
            move = Move(action, manifest.version, _now(), os.urandom(8).hex(), weight)
            sent[move.id] = manifest
            if current is None:
                moved = Alias(alias, manifest, (move,))
            else:
                moved = (current.shared if action in actions.SHARES else current.moved)(move, manifest)
            data = moved.to_json()
            _parse_alias(name, alias, key, data)  # nothing is written that could not be read back
            try:
                self.store.replace(key, data, revision)
            except ConflictError:
                time.sleep(_backoff_s(attempt))
            else:
                return manifest
        raise ConflictError(f"{self.store.url}/{key}: others moved it {MAX_SWAPS} times while we tried to")

    def _read_alias(self, name: str, alias: str) -> tuple[Alias, Revision] | None:
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        try:
            stored = self.store.read(key)
        except ObjectNotFoundError:
            return None
        return _parse_alias(name, alias, key, stored.data, self._largest_alias_bytes), stored.revision

    def _not_found(self, name: str, what: str) -> ModelNotFoundError:
        versions = self.versions(name)
        if versions:
            return ModelNotFoundError(f'model "{name}": {what}; it has the versions {", ".join(map(str, versions))}')
        return ModelNotFoundError(f'model "{name}": not in the registry {self.store.url}')


def _parse_alias(name: str, alias: str, key: str, data: bytes, at_most: int = MAX_STATE_BYTES) -> Alias:
    found = Alias.from_json(data, key, at_most)
    if (found.manifest.model, found.name) != (name, alias):
        raise ManifestError(f"{key}: expected {name}@{alias}, got {found.manifest.model}@{found.name}")
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _backoff_s(attempt: int) -> float:
    """A random wait that grows to at most half a second."""
    longest_s: float = min(0.5, 0.01 * 2**attempt)
    return longest_s * os.urandom(1)[0] / 255
