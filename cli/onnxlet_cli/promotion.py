"""Promotion: copying a verified version with its number and signature to another registry, and making it live there."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from onnxlet.contract import layout, signature
from onnxlet.contract.golden import MAX_DIFFERENCE
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ArtifactError, ConflictError, ModelNotFoundError, UntrustedModelError
from onnxlet.models.loading import load
from onnxlet.registry.registry import Registry, Sign
from onnxlet.settings.parsers import parse_public_keys
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.deploy.deployment import find_cloud
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.publish import copy_version, find_published

Report = Callable[[str], None]
"""Receives a line for each step."""


@dataclass(frozen=True)
class Stage:
    """A registry, and what the functions that read it require."""

    registry: Registry
    model: str | None = None
    """The stack's default model."""
    public_keys: tuple[bytes, ...] = ()
    """The functions there load only versions signed by one of these keys; if empty, they load every version."""


@dataclass(frozen=True)
class Promoted:
    """The version in the target registry, and what changed there."""

    manifest: Manifest
    is_new: bool
    """Whether the version was copied now; else the target already had it."""
    is_moved: bool
    """Whether `live` was moved to it; else it was live already, or it is only staged."""


def find_stage(option: str, text: str, cloud: str, where: Options) -> Stage:
    """Return the registry at a URL or in a folder, or the registry of a stack in the account and region of `where`.

    The keys that a stack's functions trust are read from the stack; for a URL they come from `ONNXLET_PUBLIC_KEYS`.

    Raises:
        DeploymentError: No stack has this name.
        OnnxletError, CommandError: The registry or the stack cannot be reached.
    """
    if "/" in text:
        return Stage(open_registry(text), public_keys=parse_public_keys(os.environ.get("ONNXLET_PUBLIC_KEYS")))
    target = find_cloud(cloud, replace(where, name=text))
    target.check_account()
    deployed = target.find()
    if deployed is None:
        raise DeploymentError(f"{option} {text}: expected a deployed stack or the URL of a registry, found neither")
    keys = parse_public_keys(deployed.public_keys)
    return Stage(target.open_registry(deployed.outputs.registry_url), deployed.model, keys)


def find_version(source: Stage, name: str | None, version: int | None) -> Manifest:
    """Return the version to promote: `NAME` (live), `NAME@ALIAS`, `NAME` and a number, or the stack's default model.

    Raises:
        UsageError: The user names no model, or both an alias and a number.
        ModelNotFoundError: There is no such version.
    """
    model, _, alias = (name or source.model or "").partition("@")
    if not model:
        raise UsageError(f"which model? {source.registry.store.url} has {', '.join(source.registry.models())}")
    if version is None:
        return source.registry.resolve(model, alias or layout.LIVE)
    if alias:
        raise UsageError(f"{name} {version}: expected an alias or a version, got both")
    return source.registry.version(model, version)


def promote(
    source: Registry, manifest: Manifest, target: Stage, sign: Sign | None, report: Report, *, is_staged: bool = False
) -> Promoted:
    """Copy a version to another registry and make it live there, after every check that needs no write.

    Blobs, manifest and alias are written in this order, so no function serves a version before all of it is there.
    A repeated call changes nothing, and completes an interrupted one.

    Args:
        source: The registry that has the version.
        manifest: The version.
        target: The registry that receives it.
        sign: Signs it again, under the next free number; None keeps its signature, and with it its number.
        report: Receives a line for each step.
        is_staged: Leave `live` where it is.

    Raises:
        UntrustedModelError: The target's functions would not load it.
        ArtifactError: Its bytes differ from the published ones, or its answer from the golden one.
        ConflictError: It is signed, and the target has another version of its number.
    """
    _require_trusted(manifest, target.public_keys, sign)
    report(f"check    {_check_golden(source, manifest)}")
    existing = _find(target.registry, manifest, sign)
    _copy_blobs(source, manifest, target.registry, report)  # of an existing version too: a blob may have been deleted
    stored = existing or _store(source, manifest, target.registry, sign)
    signer = f", signed by {stored.signature['public_key']}" if stored.signature else ""
    report(f"{'there' if existing else 'copied':<8} {stored.model} version {stored.version}{signer}")
    return Promoted(stored, existing is None, not is_staged and _make_live(target.registry, stored))


def _require_trusted(manifest: Manifest, public_keys: tuple[bytes, ...], sign: Sign | None) -> None:
    """Refuse a version with an invalid signature, or one that the target's functions would not load."""
    if manifest.signature and not signature.is_valid(manifest):
        signature.require(manifest, [signature.parse_public_key(manifest.signature["public_key"])])
    if not public_keys:
        return
    try:
        signature.require(manifest if sign is None else sign(manifest), public_keys)
    except UntrustedModelError as error:
        raise UntrustedModelError(f"the functions of the target would not load it: {error}; --sign KEY.pem") from error


def _check_golden(source: Registry, manifest: Manifest) -> str:
    """Load a version as a function does, and compare its answer with the golden example; return a line that says so."""
    golden = source.golden(manifest)
    model = load(source, manifest, threads=1)
    what = f"{manifest.model} version {manifest.version} of {source.store.url}"
    if golden is None or not golden.compared:
        return f"{what} loads; it has no golden example to compare with"
    difference = model.difference(golden)
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(f"{what}: its answer to the golden inputs is {difference:.2g} off")
    return f"{what} gives the golden answer"


def _find(target: Registry, manifest: Manifest, sign: Sign | None) -> Manifest | None:
    """Return the target's copy of a version, or None."""
    publication = manifest.provenance.publication
    if sign is not None:
        return find_published(target, manifest.model, publication, sign)
    try:
        same_number = target.version(manifest.model, manifest.version)
    except ModelNotFoundError:
        return None if manifest.signature else find_published(target, manifest.model, publication)
    if same_number.to_document() == manifest.to_document():
        return same_number
    if manifest.signature:
        raise ConflictError(
            f"{target.store.url}: has another {manifest.model} version {manifest.version}, and the signature is of "
            "this number: --sign KEY.pem signs it under the next free one"
        )
    return find_published(target, manifest.model, publication)


def _copy_blobs(source: Registry, manifest: Manifest, target: Registry, report: Report) -> None:
    """Store the version's artifacts that the target lacks."""
    for artifact in manifest.artifacts:
        try:
            target.artifacts.read(artifact)  # stored by an earlier attempt, or with another version
        except ArtifactError:
            report(f"copy     {artifact.role} {artifact.variant}, {artifact.size_bytes} bytes")
            key, data = layout.blob_key(artifact.sha256), bytes(source.artifacts.read(artifact))
            try:
                target.store.put_if_absent(key, data)
            except ConflictError as error:
                where = f"{target.store.url}/{key}"
                raise ArtifactError(
                    f"{where}: expected the bytes of its SHA-256, got others: delete the object, and repeat"
                ) from error


def _store(source: Registry, manifest: Manifest, target: Registry, sign: Sign | None) -> Manifest:
    """Store a version under its own number if that is free, else under the next free one; no alias names it yet."""
    if sign is None and manifest.version not in target.versions(manifest.model):
        return target.adopt(source, manifest.model, manifest.version)
    return copy_version(source, manifest, target, alias=None, sign=sign)


def _make_live(target: Registry, manifest: Manifest) -> bool:
    """Make a version live; return False if it was live already."""
    with suppress(ModelNotFoundError):
        if target.resolve(manifest.model).version == manifest.version:
            return False
    target.promote(manifest.model, manifest.version)
    return True
