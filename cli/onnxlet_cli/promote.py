"""Promote: a version of one registry, checked and with its number and signature, becomes live in another."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from onnxlet.contract import layout, signature
from onnxlet.contract.golden import MAX_DIFFERENCE
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import (
    ArtifactError,
    ConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    StoreError,
    UntrustedModelError,
)
from onnxlet.models.loading import load
from onnxlet.registry.registry import Registry, Sign
from onnxlet.settings.variables import parse_public_keys
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.deploy.deployment import find_cloud
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.publish import copy_version, find_published

Report = Callable[[str], None]
"""Takes a line at each step."""


@dataclass(frozen=True)
class Where:
    """Where stacks are looked for."""

    cloud: str
    region: str | None
    project: str | None
    state: str | None = None
    """Of GCP: where Terraform's state is."""


@dataclass(frozen=True)
class Stage:
    """One of the two registries, and what is known of the functions that read it."""

    registry: Registry
    model: str | None = None
    """The default model of the stack."""
    public_keys: tuple[bytes, ...] = ()
    """What the functions there load only versions of; empty where they load all."""


@dataclass(frozen=True)
class Promoted:
    """What is in the target registry now."""

    manifest: Manifest
    is_new: bool
    """Whether the version was copied; else it was there already."""
    is_moved: bool
    """Whether live was moved to it; else it was there already, or the version is only staged."""


def find_stage(option: str, text: str, where: Where) -> Stage:
    """Return the registry that a user means: the URL or the folder of one, or a stack's name.

    Of a URL nobody knows which keys its functions trust; `ONNXLET_PUBLIC_KEYS` of this process says it.

    Raises:
        StoreError: nothing is deployed under the name.
        OnnxletError: the registry or the stack cannot be reached.
    """
    if "/" in text:
        return Stage(open_registry(text), public_keys=parse_public_keys(os.environ.get("ONNXLET_PUBLIC_KEYS")))
    target = find_cloud(where.cloud, Options(text, where.region, where.project, state=where.state))
    target.check_account()
    found = target.find()
    if found is None:
        raise StoreError(f"{option} {text}: expected a deployed stack or the URL of a registry, nothing has this name")
    keys = parse_public_keys(found.public_keys)
    return Stage(target.open_registry(found.outputs.registry_url), found.model, keys)


def find_version(source: Stage, name: str | None, version: int | None) -> Manifest:
    """Return the version to promote: `NAME` (live), `NAME@ALIAS`, `NAME` and a number, or the stack's default model.

    Raises:
        InvalidRequestError: no model is named, or both an alias and a number.
        ModelNotFoundError: there is no such version.
    """
    model, _, alias = (name or source.model or "").partition("@")
    if not model:
        raise InvalidRequestError(f"which model? {source.registry.store.url} has {', '.join(source.registry.models())}")
    if version is None:
        return source.registry.resolve(model, alias or layout.LIVE)
    if alias:
        raise InvalidRequestError(f"{name} {version}: expected an alias or a version, got both")
    return source.registry.version(model, version)


def between(
    source: str,
    target: str,
    where: Where,
    name: str | None,
    version: int | None,
    sign: Sign | None,
    report: Report,
    *,
    is_staged: bool = False,
) -> Promoted:
    """Promote by the names that a user gives; raises as `find_stage`, `find_version` and `promote`."""
    origin, goal = find_stage("--from", source, where), find_stage("--to", target, where)
    manifest = find_version(origin, name, version)
    return promote(origin.registry, manifest, goal, sign, report, is_staged=is_staged)


def promote(
    source: Registry, manifest: Manifest, target: Stage, sign: Sign | None, report: Report, *, is_staged: bool = False
) -> Promoted:
    """Copy a version to another registry and make it live there; all that can be refused is refused before a write.

    A second time changes nothing, and what was interrupted is continued: blobs, manifest and alias are written in this
    order, so that nothing is served before all of it is there.

    Args:
        source: The registry that has the version.
        manifest: The version.
        target: Where it goes.
        sign: Signs it anew, under the next free number; None keeps its signature, and with it its number.
        report: Takes a line at each step.
        is_staged: Leave live where it is.

    Raises:
        UntrustedModelError: the functions of the target would not load it.
        ArtifactError: its bytes are not the published ones, or its answer is not the golden one.
        ConflictError: it is signed, and the target has another version of its number.
    """
    _require_trusted(manifest, target.public_keys, sign)
    report(f"check    {_check_golden(source, manifest)}")
    earlier = _find(target.registry, manifest, sign)
    _copy_blobs(source, manifest, target.registry, report)  # of an earlier version, too: one may have been deleted
    stored = earlier or _store(source, manifest, target.registry, sign)
    report(f"{'there' if earlier else 'copied':<8} {stored.model} version {stored.version}{_signer(stored)}")
    return Promoted(stored, earlier is None, not is_staged and _make_live(target.registry, stored))


def _require_trusted(manifest: Manifest, public_keys: tuple[bytes, ...], sign: Sign | None) -> None:
    """Refuse a version that the target's functions would not load, or whose signature is not of it.

    Raises:
        UntrustedModelError: it is one.
    """
    if manifest.signature and not signature.is_valid(manifest):
        signature.require(manifest, [signature.parse_public_key(manifest.signature["public_key"])])
    if not public_keys:
        return
    try:
        signature.require(manifest if sign is None else sign(manifest), public_keys)
    except UntrustedModelError as error:
        raise UntrustedModelError(f"the functions of the target would not load it: {error}; --sign KEY.pem") from error


def _check_golden(source: Registry, manifest: Manifest) -> str:
    """Load a version as a function does, and compare its answer with the golden example; return what was found.

    Raises:
        ArtifactError: it does not load, or its answer is another one.
    """
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
    """Return the version of the target that is this one already; None if there is none.

    Raises:
        ConflictError: it cannot be one, as another version has its number.
    """
    publication = manifest.provenance.publication
    if sign is not None:
        return find_published(target, manifest.model, publication, sign)
    try:
        found = target.version(manifest.model, manifest.version)
    except ModelNotFoundError:
        return None if manifest.signature else find_published(target, manifest.model, publication)
    if found.to_document() == manifest.to_document():
        return found
    if manifest.signature:
        raise ConflictError(
            f"{target.store.url}: has another {manifest.model} version {manifest.version}, and the signature is of "
            "this number: --sign KEY.pem signs it under the next free one"
        )
    return find_published(target, manifest.model, publication)


def _copy_blobs(source: Registry, manifest: Manifest, target: Registry, report: Report) -> None:
    """Store a version's artifacts that the target lacks."""
    for artifact in manifest.artifacts:
        try:
            target.artifacts.read(artifact)  # an earlier attempt, or another version, has brought it
        except ArtifactError:
            report(f"copy     {artifact.role} {artifact.variant}, {artifact.size_bytes} bytes")
            _put(target, layout.blob_key(artifact.sha256), bytes(source.artifacts.read(artifact)))


def _store(source: Registry, manifest: Manifest, target: Registry, sign: Sign | None) -> Manifest:
    """Store a version under its own number if that is free, or else under the next free one, live for nobody yet."""
    if sign is None and manifest.version not in target.versions(manifest.model):
        return target.adopt(source, manifest.model, manifest.version)
    return copy_version(source, manifest, target, alias=None, sign=sign)


def _put(target: Registry, key: str, data: bytes) -> None:
    try:
        target.store.put_if_absent(key, data)
    except ConflictError as error:
        raise ArtifactError(
            f"{target.store.url}/{key}: expected the bytes of its SHA-256, got others: delete the object, and repeat"
        ) from error


def _make_live(target: Registry, manifest: Manifest) -> bool:
    """Move live to a version; return whether it was another one."""
    with suppress(ModelNotFoundError):
        if target.resolve(manifest.model).version == manifest.version:
            return False
    target.promote(manifest.model, manifest.version)
    return True


def _signer(manifest: Manifest) -> str:
    return f", signed by {manifest.signature['public_key']}" if manifest.signature else ""
