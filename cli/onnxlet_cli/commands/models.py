"""`onnxlet models`: lists the models of a registry, or the versions of one."""

from typing import Annotated, Any

import typer

from onnxlet.contract import layout, signature
from onnxlet.contract.alias import Alias
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import TensorSpec
from onnxlet.errors import ManifestError, ModelNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.output import Row
from onnxlet_cli.registry import open_registry

DAMAGED = (ManifestError, ModelNotFoundError)
"""The errors of one damaged or missing document. The other documents can still be listed."""


def models(
    name: Annotated[str | None, typer.Argument(help="List the versions of this model (default: all models).")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List the models of the registry, or the versions of one."""
    source = open_registry(registry)
    rows, problems = _models(source) if name is None else _versions(source, name)
    described = {} if name is None else _described_live(source, name)
    if json and described:
        rows = [{**row, **(described if row["live"] else {})} for row in rows]
    hint = f"No models in {source.store.url} yet: onnxlet train digits, or onnxlet publish MODEL.onnx"
    lines = [f"{title:8} {value}" for title, value in described.items()]
    output.show(rows, *(lines if rows or problems else [hint]), rows=rows, json=json)
    for problem in problems:
        output.print_warning(problem)
    if problems:
        raise typer.Exit(1)


def _models(registry: Registry) -> tuple[list[Row], list[str]]:
    """Return a row for each model, and the problems of damaged or missing documents."""
    rows, problems = [], []
    for name in registry.models():
        version, metrics = None, {}
        try:
            live = _live_alias(registry, name)
            if live is not None:
                version = live.manifest.version
                metrics = dict(registry.version(name, version).metrics)
        except DAMAGED as problem:
            problems.append(str(problem))
        rows.append({"model": name, "live": version, "versions": registry.versions(name), "metrics": metrics})
    return rows, problems


def _versions(registry: Registry, name: str) -> tuple[list[Row], list[str]]:
    """Return a row for each version, newest first, and the problems of damaged or missing documents.

    Raises:
        ModelNotFoundError: The model has no version, and no alias.
    """
    versions, problems = registry.versions(name), []
    live: Alias | None = None
    try:
        live = _live_alias(registry, name)
    except DAMAGED as problem:
        problems.append(str(problem))
    shares = {} if live is None else _shares(live)
    missing = sorted(set(shares) - set(versions))
    problems += [f'model "{name}": "{layout.LIVE}" names version {version}, which is missing' for version in missing]
    rows = []
    for version in reversed(versions):
        row: Row = {"version": version, "live": shares.get(version) == layout.LIVE}
        row["share"] = None if row["live"] else shares.get(version)
        try:
            row |= _described(registry.version(name, version))
        except DAMAGED as problem:
            problems.append(str(problem))
            row |= {"created": None, "source": None, "signed": None, "crashes": None, "metrics": {}}
        rows.append(row)
    if not rows and not problems:
        raise ModelNotFoundError(f'model "{name}": not in the registry {registry.store.url}')
    return rows, problems


def _described_live(registry: Registry, name: str) -> dict[str, str]:
    """Return what the live version does, its tensors, and the command that asks its example; empty without one."""
    try:
        live = _live_alias(registry, name)
    except DAMAGED:
        return {}
    if live is None:
        return {}
    manifest = live.manifest
    described = {
        "task": f"{manifest.task_name() or 'none'}, takes a {manifest.takes()}",
        "inputs": ", ".join(map(_tensor, manifest.inputs)),
        "outputs": ", ".join(map(_tensor, manifest.outputs)),
    }
    has_example = manifest.artifact("example") is not None
    return {**described, "example": f"onnxlet predict {name}"} if has_example else described


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec}"


def _live_alias(registry: Registry, name: str) -> Alias | None:
    """Return the alias `live`, or None if no version is live."""
    try:
        return registry.alias(name, layout.LIVE)
    except ModelNotFoundError:
        return None


def _shares(alias: Alias) -> dict[int, str]:
    """Return by version: the alias's name for its own version, `canary 0.1` or `shadow 1` for the other ones."""
    others = {"canary": alias.canary, "shadow": alias.shadow}
    shares = {share.manifest.version: f"{kind} {share.weight:.4g}" for kind, share in others.items() if share}
    return {**shares, alias.manifest.version: alias.name}


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "created": manifest.provenance.created_at,
        "source": manifest.provenance.source,
        "signed": _signed_by(manifest),
        "crashes": [crash.operator for crash in manifest.crashes] or None,
        "metrics": dict(manifest.metrics),
    }


def _signed_by(manifest: Manifest) -> str | None:
    """Return the public key of a valid signature, `invalid`, or None if the version is not signed."""
    if not manifest.signature:
        return None
    return manifest.signature["public_key"] if signature.is_valid(manifest) else "invalid"
