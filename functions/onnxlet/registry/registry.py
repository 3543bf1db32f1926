"""Registry: a reader that also publishes versions and moves aliases. Functions only read, and do not import it.

Each write leaves the registry complete, in this order:

    publish   blobs (if absent) -> manifest (if absent, under the next free number) -> alias (if unchanged)
    promote, rollback, share                                                          alias (if unchanged)

A publisher that stops in between leaves bytes that nothing names. Writers do not lock each other out:

- If another publisher takes the version number first, the manifest is written under the next one. If the manifest there
  is the writer's own, from an attempt whose reply was lost, the version counts as published.
- If another writer moves the alias first, the alias is read again and the move is decided again. If the history holds
  the writer's own move, by its random identifier, an attempt has succeeded whose reply was lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from onnxlet.contract import alias as actions
from onnxlet.contract import layout
from onnxlet.contract.alias import Alias, Move
from onnxlet.contract.document import MAX_STATE_BYTES
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ConflictError, InvalidRequestError, ModelNotFoundError, StoreError
from onnxlet.record import replace
from onnxlet.registry.artifacts import Artifacts
from onnxlet.registry.reader import RegistryReader, parse_alias
from onnxlet.storage import Store

Sign = Callable[[Manifest], Manifest]
"""Returns a manifest with its publisher's signature."""

MAX_SWAPS = 100
"""Attempts to move an alias that other writers move at the same time."""


class Registry(RegistryReader):
    """The models below one root URL, which may be published and moved."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts | None = None,
        largest_alias_bytes: int = MAX_STATE_BYTES,
        *,
        allows_unconditional_writes: bool = False,
    ) -> None:
        """Wrap the store whose root is the registry's.

        Args:
            store: The store.
            artifacts: See `RegistryReader`.
            largest_alias_bytes: See `RegistryReader`.
            allows_unconditional_writes: Whether to publish even into a store that ignores the conditions of writes.
        """
        super().__init__(store, artifacts, largest_alias_bytes)
        self.allows_unconditional_writes = allows_unconditional_writes

    def publish(
        self,
        draft: Manifest,
        blobs: Mapping[str, bytes],
        alias: str | None = layout.LIVE,
        sign: Sign | None = None,
    ) -> Manifest:
        """Store a new version and, unless `alias` is None, make the alias name it.

        Args:
            draft: The manifest; the next free version replaces its version, and `sign` its signature.
            blobs: The bytes of the draft's artifacts by their SHA-256.
            alias: The alias that will name the new version.
            sign: Signs the new version.

        Returns:
            The stored manifest.

        Raises:
            ConflictError: other writers moved the alias at every attempt.
            StoreError: the store does not answer.
        """
        layout.parse_name(draft.model)
        for sha256, data in blobs.items():
            self.store.put_if_absent(layout.blob_key(sha256), data)
        manifest = self._put_manifest(draft, sign)
        if alias is not None:
            self._move(manifest.model, alias, actions.PUBLISH, lambda _current: manifest)
        return manifest

    def adopt(self, other: RegistryReader, name: str, version: int) -> Manifest:
        """Store another registry's version unchanged under the same number, so that its signature stays valid.

        The artifacts must already be in this registry. No alias names the version yet.

        Returns:
            The manifest.

        Raises:
            ModelNotFoundError: the other registry has no such version.
            ConflictError: this registry has a different version with this number.
            StoreError: a store does not answer, or this one ignores the conditions of writes.
        """
        manifest = other.version(name, version)
        key = layout.version_key(name, version)
        self.require_conditions()
        self.store.put_if_absent(key, other.store.read(key).data)
        return manifest

    def promote(self, name: str, version: int, alias: str = layout.LIVE) -> Manifest:
        """Make an alias name an existing version; return its manifest. Raises the errors of `resolve`."""
        manifest = self.version(name, version)
        return self._move(name, alias, actions.PROMOTE, lambda _current: manifest)

    def rollback(self, name: str, alias: str = layout.LIVE) -> Manifest:
        """Make an alias name its previous version; return that version's manifest. Raises the errors of `resolve`.

        Raises:
            ModelNotFoundError: also if the alias has no previous version.
        """

        def previous(current: Alias | None) -> Manifest:
            if current is None:
                raise self._not_found(name, f'no alias "{alias}"')
            version = current.previous_version()
            if version is None:
                raise ModelNotFoundError(
                    f'model "{name}": nothing to roll back to, because the last {actions.MAX_MOVES} moves of "{alias}" '
                    f"name no version before {current.manifest.version}; onnxlet promote {name} VERSION names any "
                    "version"
                )
            return self.version(name, version)

        return self._move(name, alias, actions.ROLLBACK, previous)

    def share(self, name: str, version: int, action: str, weight: float, alias: str = layout.LIVE) -> Manifest:
        """Give a version a share of an alias's requests; return its manifest. Raises the errors of `resolve`.

        Args:
            name: The model.
            version: A version other than the one that the alias names.
            action: `canary`, which answers its share, or `shadow`, which gets copies and whose answers are only logged.
            weight: The share, from 0, which ends it, to 1.
            alias: The alias.

        Raises:
            InvalidRequestError: the weight is outside 0 to 1, or the alias names the version.
        """
        if not 0 <= weight <= 1:
            raise InvalidRequestError(f"weight: expected a share from 0 to 1, got {weight}")

        def other(current: Alias | None) -> Manifest:
            if current is None:
                raise self._not_found(name, f'no alias "{alias}"')
            if weight and current.manifest.version == version:
                raise InvalidRequestError(
                    f'model "{name}": expected another version than {version}, which "{alias}" names already'
                )
            return manifest

        manifest = self.version(name, version)
        return self._move(name, alias, action, other, weight)

    def require_conditions(self) -> None:
        """Refuse a store in which two concurrent publishers would overwrite each other's versions.

        Raises:
            StoreError: the store ignores the conditions of writes.
        """
        if self.allows_unconditional_writes:
            return
        missing = self.store.missing_condition(layout.PROBE_KEY, layout.PROBE)
        if missing is not None:
            raise StoreError(
                f"{self.store.url}: expected a store that supports conditional writes, got one that ignores {missing}: "
                "two concurrent publishers would overwrite each other's versions. Use another store, or set "
                "ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1 and publish from one machine at a time"
            )

    def _put_manifest(self, draft: Manifest, sign: Sign | None) -> Manifest:
        """Store a manifest under the next free version; return it."""
        version = max(self.versions(draft.model), default=0) + 1
        if version == 1:
            self.require_conditions()
        while True:
            manifest = replace(draft, version=version, signature={})
            manifest = sign(manifest) if sign else manifest
            key, data = layout.version_key(draft.model, version), manifest.to_json()
            Manifest.from_json(data, key)  # never write what cannot be read
            try:
                self.store.put_if_absent(key, data)
            except ConflictError:
                other = self.version(draft.model, version)
                if other.provenance.publication == draft.provenance.publication:  # from an attempt before
                    return other
                version += 1
            else:
                return manifest

    def _move(
        self,
        name: str,
        alias: str,
        action: str,
        target: Callable[[Alias | None], Manifest],
        weight: float | None = None,
    ) -> Manifest:
        """Move an alias to the version that `target` returns for the alias's current state; return its manifest."""
        key = layout.alias_key(layout.parse_name(name), layout.parse_alias(alias))
        sent: dict[str, Manifest] = {}
        for attempt in range(MAX_SWAPS):
            current, revision = self._read_alias(name, alias) or (None, None)
            arrived = [sent[move.id] for move in (current.history if current else ()) if move.id in sent]
            if arrived:  # its reply was lost, and other writers have moved the alias since
                return arrived[0]
            manifest = target(current)
            move = Move(action, manifest.version, _now(), os.urandom(8).hex(), weight)
            sent[move.id] = manifest
            if current is None:
                moved = Alias(alias, manifest, (move,))
            else:
                moved = (current.shared if action in actions.SHARES else current.moved)(move, manifest)
            data = moved.to_json()
            parse_alias(name, alias, key, data)  # never write what cannot be read
            try:
                self.store.replace(key, data, revision)
            except ConflictError:
                time.sleep(_backoff_s(attempt))
            else:
                return manifest
        raise ConflictError(f"{self.store.url}/{key}: other writers moved it first at each of {MAX_SWAPS} attempts")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _backoff_s(attempt: int) -> float:
    """Return a random wait, whose maximum grows with each attempt to half a second."""
    longest_s: float = min(0.5, 0.01 * 2**attempt)
    return longest_s * os.urandom(1)[0] / 255
