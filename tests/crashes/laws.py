"""The laws: what any reader of a registry may rely on, at whatever moment its writer was killed."""

import hashlib
import json
from collections.abc import Iterable

from onnxlet.contract import layout
from onnxlet.registry.registry import Registry
from tests.crashes.commands import NAMES, Done


def check_whole(registry: Registry) -> None:
    """Whatever is there is whole: every document, every blob, and all that a version or an alias names."""
    for key in registry.store.keys(""):
        data = registry.store.read(key).data
        if key.startswith("blobs/"):
            assert key == layout.blob_key(hashlib.sha256(data).hexdigest())
        elif key.endswith(".json"):
            json.loads(data)
    for name, versions in registry.catalogue().items():
        assert versions == list(range(1, len(versions) + 1))
        manifests = {version: registry.version(name, version) for version in versions}
        for artifact in {artifact for manifest in manifests.values() for artifact in manifest.artifacts}:
            registry.artifacts.read(artifact)
        for alias in registry.aliases(name):
            shares = (share.manifest for share in (alias.canary, alias.shadow) if share is not None)
            assert all(manifest == manifests[manifest.version] for manifest in (alias.manifest, *shares))


def check_kept(registry: Registry, done: Done, kills: int) -> None:
    """All that was told is there, in its order; of what was not told, at most one write of each kill."""
    catalogue = registry.catalogue()
    for name in NAMES:
        versions = catalogue.get(name, [])
        assert is_within(done.versions[name], versions)
        assert len(versions) <= len(done.versions[name]) + kills
        history = registry.alias(name).history if "live" in aliases_of(registry, name) else ()
        moves = [(move.action, move.version) for move in history]
        assert is_within(done.moves[name], moves)
        assert len(moves) <= len(done.moves[name]) + kills


def aliases_of(registry: Registry, name: str) -> set[str]:
    return {alias.name for alias in registry.aliases(name)}


def is_within(some: Iterable[object], all_of_them: Iterable[object]) -> bool:
    """Whether these come one after another among those, perhaps with others between them."""
    rest = iter(all_of_them)
    return all(each in rest for each in some)
