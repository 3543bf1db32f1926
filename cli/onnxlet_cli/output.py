"""What the command prints: lines and tables for people, JSON for machines, errors on one line."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnxlet.contract import layout
from onnxlet.contract.alias import Alias
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ManifestError, ModelNotFoundError
from onnxlet.registry.registry import Registry

Row = dict[str, Any]

DAMAGED = (ManifestError, ModelNotFoundError)
"""The errors of one document that is damaged or missing; the others can be listed all the same."""

SHOWN_VALUES = 32
"""The most values of an output that people are shown."""


def progress() -> Console:
    """Where long work reports: the error stream, so that `--json` alone has the output."""
    return Console(stderr=True, soft_wrap=True)


def print_line(text: str) -> None:
    """A line for people."""
    Console(soft_wrap=True).print(escape(text), highlight=False)


def print_warning(text: str) -> None:
    """A line that should be read, on the error stream."""
    progress().print(f"[yellow]warning:[/] {escape(text)}", highlight=False)


def print_note(text: str) -> None:
    """Print a line on the error stream, as it is."""
    progress().print(text, highlight=False, markup=False)


def print_error(error: Exception) -> None:
    """An error on one line of the error stream."""
    progress().print(f"[red]onnxlet:[/] {escape(' '.join(str(error).split()))}", highlight=False)


def print_json(content: object) -> None:
    """A document for machines."""
    print(json.dumps(content, indent=2))  # noqa: T201 - not for a terminal's eyes


def print_table(rows: Sequence[Row]) -> None:
    """A table with the rows' keys as its head."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        table.add_column(key)
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    Console(soft_wrap=True).print(table, highlight=False)


def print_predictions(answer: Row) -> None:
    """Print the labels of each row, most probable first; of a model without labels, the values of its outputs."""
    print_line(f"{answer['model']} version {answer['version']}")
    for prediction in answer["predictions"]:
        for line in prediction_lines(prediction):
            print_line(f"  {line}")


def prediction_lines(prediction: object) -> list[str]:
    """Return what people read of one prediction."""
    if not isinstance(prediction, dict):
        return [_values(prediction)]
    if "label" not in prediction:
        return [f"{name}  {_values(value)}" for name, value in prediction.items()]
    return ["  ".join(map(_cell, entry.values())) for entry in prediction.get("top", [prediction])]


def _values(values: object) -> str:
    """Return a few values as they are; of many, how many there are."""
    shape, first, count = [], values, 1
    while isinstance(first, list):
        shape.append(str(len(first)))
        count *= len(first)
        first = first[0] if first else None
    return f"{' x '.join(shape)} values; --json prints them" if count > SHOWN_VALUES else json.dumps(values)


def model_rows(registry: Registry) -> tuple[list[Row], list[str]]:
    """Return what a list of models says of each, and what is wrong with documents that are damaged or missing."""
    rows, problems = [], []
    for name in registry.models():
        live, metrics = None, {}
        try:
            live = live_version(registry, name)
            metrics = {} if live is None else dict(registry.version(name, live).metrics)
        except DAMAGED as problem:
            problems.append(str(problem))
        rows.append({"model": name, "live": live, "versions": registry.versions(name), "metrics": metrics})
    return rows, problems


def version_rows(registry: Registry, name: str) -> tuple[list[Row], list[str]]:
    """Return what a list of versions says of each, the newest first, and what is wrong with damaged documents.

    Raises:
        ModelNotFoundError: there is no version, and nothing that names one.
    """
    versions, problems = registry.versions(name), []
    live: Alias | None = None
    try:
        live = live_alias(registry, name)
    except DAMAGED as problem:
        problems.append(str(problem))
    named = {} if live is None else _named(live)
    missing = sorted(set(named) - set(versions))
    problems += [f'model "{name}": "{layout.LIVE}" names version {version}, which is missing' for version in missing]
    rows = []
    for version in reversed(versions):
        row: Row = {"version": version, "live": named.get(version) == layout.LIVE}
        row["share"] = None if row["live"] else named.get(version)
        try:
            row |= _described(registry.version(name, version))
        except DAMAGED as problem:
            problems.append(str(problem))
            row |= {"created": None, "source": None, "signed": None, "crashes": None, "metrics": {}}
        rows.append(row)
    if not rows and not problems:
        raise ModelNotFoundError(f'model "{name}": not in the registry {registry.store.url}')
    return rows, problems


def _described(manifest: Manifest) -> Row:
    """Return what a list says of one version."""
    return {
        "created": manifest.provenance.created_at,
        "source": manifest.provenance.source,
        "signed": signed_by(manifest),
        "crashes": [crash.operator for crash in manifest.crashes] or None,
        "metrics": dict(manifest.metrics),
    }


def signed_by(manifest: Manifest) -> str | None:
    """The public key that has signed a version, or what is wrong with the signature; None where there is none."""
    if not manifest.signature:
        return None
    from onnxlet.contract import signature  # few versions are signed

    return manifest.signature["public_key"] if signature.is_valid(manifest) else "invalid"


def _named(alias: Alias) -> dict[int, str]:
    """Return which versions an alias names: its own, and what share of the requests another one gets."""
    found = {"canary": alias.canary, "shadow": alias.shadow}
    shares = {share.manifest.version: f"{kind} {share.weight:.4g}" for kind, share in found.items() if share}
    return {**shares, alias.manifest.version: alias.name}


def live_alias(registry: Registry, name: str) -> Alias | None:
    """Return the alias `live`, or None where no version is live."""
    try:
        return registry.alias(name, layout.LIVE)
    except ModelNotFoundError:
        return None


def live_version(registry: Registry, name: str) -> int | None:
    """Return the version that `live` names, or None where no version is live."""
    alias = live_alias(registry, name)
    return None if alias is None else alias.manifest.version


def only_model(registry: Registry) -> str | None:
    """The model to serve where the user names none: the only one there is."""
    names = registry.models()
    return names[0] if len(names) == 1 else None


def _headline(metrics: Row) -> str:
    """The one metric that a table has room for."""
    name = "accuracy" if "accuracy" in metrics else next(iter(metrics), None)
    return "-" if name is None else f"{name} {_cell(metrics[name])}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "live" if value else ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict):
        return _headline(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
