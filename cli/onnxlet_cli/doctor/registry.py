"""The registry: whether it can be read, whether its aliases name existing versions, and whether these can be served."""

import os
from collections.abc import Generator, Iterator
from contextlib import suppress

from onnxlet.contract import layout, signature
from onnxlet.contract.alias import Alias
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ManifestError, ModelNotFoundError, OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet.settings import storage_from_environment
from onnxlet.storage import s3_url, urls
from onnxlet_cli import http_client
from onnxlet_cli.doctor import clock, remedies, versions
from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.edge import runtime
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.registry import open_registry, storage_of_profile
from onnxlet_publishing.errors import CommandError

CLOCK_TIMEOUT_S = 5
"""The time for a request that only reads the server's clock."""


def open_at(url: str | None) -> Generator[Finding, None, Registry | None]:
    """Open a registry without making one, or yield why it cannot be opened; None opens the default."""
    try:
        return open_registry(url)
    except (CommandError, OnnxletError) as problem:
        yield remedies.of_store(problem, url or "the default registry", "list")
        return None


def examine(registry: Registry, examination: Examination) -> Iterator[Finding]:
    """Check the store, then each model: its aliases, and all versions that they name."""
    where = registry.store.url
    yield from _clock(registry)
    try:
        names = registry.models()
    except OnnxletError as problem:
        yield remedies.of_store(problem, where, "list")
        return
    yield from _conditions(registry)
    if not names:
        yield warning("registry_empty", where, "no models", "at least one", "onnxlet publish MODEL.onnx")
        return
    yield ok("registry", where, f"{len(names)} model{'s' if len(names) > 1 else ''}")
    for name in names:
        yield from examine_model(registry, name, examination)
    yield from _edge(registry)


def examine_model(registry: Registry, name: str, examination: Examination) -> Iterator[Finding]:
    """Check a model's aliases, and each version that one of them names."""
    named: dict[int, Manifest] = {}
    try:
        aliases = [
            child.removesuffix(".json") for child in registry.store.children(f"{layout.model_prefix(name)}/aliases")
        ]
        published = registry.versions(name)
    except OnnxletError as problem:
        yield remedies.of_store(problem, registry.store.url, "list")
        return
    if layout.LIVE not in aliases:
        remedy = f"onnxlet promote {name} {max(published, default=1)}"
        yield warning("live_missing", name, f"no alias {layout.LIVE}", "one, which is served by default", remedy)
    for alias in aliases:
        found = _read_alias(registry, name, alias)
        if isinstance(found, Finding):
            yield found
            continue
        yield from _examine_alias(registry, found, published)
        named |= _named(found)
    for manifest in named.values():
        yield from versions.examine(registry, manifest, examination)


def _edge(registry: Registry) -> Iterator[Finding]:
    """Check whether the runtime for browsers, if there is one, is the published one."""
    try:
        keys = runtime.forged(registry.store)
    except OnnxletError as problem:
        yield remedies.of_store(problem, registry.store.url, "read")
        return
    for key in keys:
        remedy = "find out who may write there, then `onnxlet edge` replaces it"
        yield error("edge_forged", key, "a file that browsers would run", f"that of {layout.EDGE_RUNTIME}", remedy)


def _read_alias(registry: Registry, name: str, alias: str) -> Alias | Finding:
    where = f"{name}@{alias}"
    try:
        return registry.alias(name, alias)
    except ManifestError as problem:
        remedy = f"put back the earlier object, or delete {layout.alias_key(name, alias)} and promote a version"
        return error("alias_unreadable", where, str(problem), "an alias as the contract has it", remedy)
    except OnnxletError as problem:
        return remedies.of_store(problem, registry.store.url, "read")


def _examine_alias(registry: Registry, alias: Alias, published: list[int]) -> Iterator[Finding]:
    """Check whether the versions that an alias names exist with the same manifests."""
    name = alias.manifest.model
    where = f"{name}@{alias.name}"
    found = [_version_problem(registry, where, manifest) for manifest in _named(alias).values()]
    yield from filter(None, found)
    if not any(found):
        yield ok("alias", where, f"version {alias.manifest.version}")
    earlier = alias.previous_version()
    if earlier is not None and earlier not in published:
        key = layout.version_key(name, earlier)
        remedy = f"put back {key}; until then go back with `onnxlet promote {name} VERSION`"
        yield warning("rollback_missing", where, f"no version {earlier}", "the version before, to roll back to", remedy)


def _named(alias: Alias) -> dict[int, Manifest]:
    """Return the manifests in an alias, by their versions."""
    return {share.manifest.version: share.manifest for share in (alias, alias.canary, alias.shadow) if share}


def _version_problem(registry: Registry, where: str, named: Manifest) -> Finding | None:
    key = layout.version_key(named.model, named.version)
    try:
        manifest = registry.version(named.model, named.version)
    except ModelNotFoundError:
        remedy = f"put back {key}, or promote another version: onnxlet promote {named.model} VERSION"
        return error("alias_version_missing", where, f"version {named.version}, which is not there", key, remedy)
    except ManifestError as problem:
        remedy = f"put back the object as it was published, or promote another version of {named.model}"
        return error("version_unreadable", where, str(problem), "a manifest as the contract has it", remedy)
    except OnnxletError as problem:
        return remedies.of_store(problem, registry.store.url, "read")
    if named.signature and not signature.is_valid(named):
        remedy = f"onnxlet promote {named.model} with a version whose signature holds, or publish it again with --sign"
        what = f"version {named.version}, whose signature is not of this manifest"
        return error("signature_invalid", where, what, "the manifest that was signed", remedy)
    if manifest != named:
        remedy = f"onnxlet promote {named.model} {named.version} repeats the manifest in the alias"
        what = f"another manifest of version {named.version} than {key}"
        return error("alias_manifest_differs", where, what, "the same", remedy)
    return None


def _conditions(registry: Registry) -> Iterator[Finding]:
    """Check whether the store honours conditional writes: without them publishers overwrite each other's versions."""
    where = registry.store.url
    try:
        missing = registry.store.missing_condition(layout.PROBE_KEY, layout.PROBE)
    except OnnxletError as problem:
        yield remedies.of_store(problem, where, "write")
        return
    if missing is not None:
        remedy = "use a store (or a proxy) that honours them; until then publish from one place at a time"
        expected = "a store that honours conditional writes"
        yield error("registry_unconditional", where, f"a store that ignores {missing}", expected, remedy)


def _clock(registry: Registry) -> Iterator[Finding]:
    """Check the clock against the server of the registry, if there is one."""
    url = _endpoint(registry.store.url)
    if url is not None:
        with suppress(ServiceError):
            headers = http_client.send(url, method="HEAD", timeout_s=CLOCK_TIMEOUT_S).headers
            yield from clock.examine(headers, url)


def _endpoint(url: str) -> str | None:
    """Return the endpoint of a store's requests; None for a store without a server."""
    if url.startswith("s3://"):
        import botocore.session

        bucket = urls.split(url)[1]
        return s3_url(storage_of_profile(botocore.session.get_session()), bucket).removesuffix(f"/{bucket}")
    if url.startswith("gs://"):
        storage = storage_from_environment(os.environ)
        return storage.gcs_endpoint or storage.gcs_base_url or "https://storage.googleapis.com"
    return None
