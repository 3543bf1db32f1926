"""Publication: a candidate that has passed the gate becomes its model's next version in a registry."""

from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ModelNotFoundError
from onnxlet.registry.registry import Registry, Sign
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.gate import GateResult, pass_gate

MAX_SEARCHED_VERSIONS = 20
"""Number of the newest versions among which an earlier attempt to publish is looked for."""


def publish(
    registry: Registry, candidate: Candidate, alias: str | None = layout.LIVE, sign: Sign | None = None
) -> Manifest:
    """Pass a candidate through the gate and store it as the next version; raises as `publish_all`."""
    return publish_all(registry, [candidate], alias, sign)[0]


def publish_all(
    registry: Registry, candidates: list[Candidate], alias: str | None = layout.LIVE, sign: Sign | None = None
) -> list[Manifest]:
    """Pass all candidates through the gate, then store each as its model's next version.

    Args:
        registry: The registry that stores the versions.
        candidates: The candidates.
        alias: The alias that will name each new version; None moves no alias.
        sign: Signs each manifest; None publishes unsigned versions.

    Raises:
        ModelError, ArtifactError, ManifestError, InvalidNameError: The gate refuses a candidate; nothing was uploaded.
        StoreError: The store does not respond.
    """
    return store_all(registry, [pass_gate(candidate) for candidate in candidates], alias, sign)


def store_all(
    registry: Registry, passed: list[GateResult], alias: str | None = layout.LIVE, sign: Sign | None = None
) -> list[Manifest]:
    """Store candidates that have passed the gate, each as its model's next version.

    Raises:
        StoreError: The store does not respond.
    """
    return [_store(registry, result.candidate, alias, sign) for result in passed]


def copy_version(
    source: Registry,
    manifest: Manifest,
    target: Registry,
    alias: str | None = layout.LIVE,
    sign: Sign | None = None,
) -> Manifest:
    """Copy a published version into another registry as the next version, unless it is already there.

    A signature also covers the version's number, so it is not copied: `sign` makes a new one.

    Raises:
        ArtifactError: The source's bytes are not the published ones.
        StoreError: A store does not respond.
    """
    earlier = find_published(target, manifest.model, manifest.provenance.publication, sign)
    if earlier is not None:
        return _ensure_named(target, earlier, alias)
    blobs = {artifact.sha256: bytes(source.artifacts.read(artifact)) for artifact in manifest.artifacts}
    return target.publish(manifest, blobs, alias, sign)


def find_published(registry: Registry, name: str, publication: str, sign: Sign | None = None) -> Manifest | None:
    """Return the version that an earlier attempt to publish has left among the newest ones, or None.

    If versions are signed, only a version that `sign` would have made counts.
    """
    for version in reversed(registry.versions(name)[-MAX_SEARCHED_VERSIONS:]):
        manifest = registry.version(name, version)
        if manifest.provenance.publication == publication and (sign is None or sign(manifest) == manifest):
            return manifest
    return None


def _store(registry: Registry, candidate: Candidate, alias: str | None, sign: Sign | None) -> Manifest:
    """Store a candidate, unless an earlier attempt has already stored it."""
    earlier = find_published(registry, candidate.name, candidate.publication, sign)
    if earlier is not None:
        return _ensure_named(registry, earlier, alias)
    return registry.publish(*candidate.to_version(), alias, sign)


def _ensure_named(registry: Registry, manifest: Manifest, alias: str | None) -> Manifest:
    """Point the alias at a version that an earlier attempt stored, unless that attempt already did so."""
    if alias is None:
        return manifest
    try:
        history = registry.alias(manifest.model, alias).history
    except ModelNotFoundError:
        history = ()
    if any(move.version == manifest.version for move in history):
        return manifest
    return registry.promote(manifest.model, manifest.version, alias)
