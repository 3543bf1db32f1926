"""`onnxlet drift`: reads the options, compares what functions have captured with training, and prints what moved."""

from pathlib import Path
from typing import Annotated, Any

import typer

from onnxlet.contract import layout
from onnxlet.contract.document import Document
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.training_statistics import Reference
from onnxlet.errors import InvalidRequestError
from onnxlet_cli import output
from onnxlet_cli.drift.compare import Moved, compare
from onnxlet_cli.drift.samples import Samples, read_samples
from onnxlet_cli.options import JsonOption, RegistryOption, finite
from onnxlet_cli.registry import open_place, open_registry

MIN_ROWS = 50
"""Fewer say nothing: the bound would be far over any threshold."""

DRIFTED, TOO_FEW = 1, 2
"""The exit codes where something moved, and where that cannot be told yet."""


def drift(
    name: Annotated[str, typer.Argument(help="The model: NAME or NAME@ALIAS.")],
    results: Annotated[
        list[str],
        typer.Option(
            metavar="URL", envvar="ONNXLET_RESULTS", help="The functions' ONNXLET_RESULTS; may be given again."
        ),
    ],
    since: Annotated[int, typer.Option(metavar="DAYS", min=0, max=3650, help="How many days back; 0 is today.")] = 7,
    threshold: Annotated[
        float,
        typer.Option(callback=finite, min=0, help="Of the population stability index, over which a measure has moved."),
    ] = 0.2,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw it.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Compare what functions captured of a model's answers (ONNXLET_CAPTURE) with training.

    The exit code is 1 where a measure has moved, and 2 where too little is captured to tell.
    """
    model, _, alias = name.partition("@")
    manifest = open_registry(registry).resolve(model, alias or layout.LIVE)
    reference = _reference(manifest)
    samples = read_samples([open_place(url) for url in results], manifest, since)
    rows = max(map(len, samples.measures.values()), default=0)
    found = compare(manifest, reference, samples, threshold)
    if plot is not None and found:
        # Imported only here: few ask for a picture.
        from onnxlet_cli.bench.chart import require_chart
        from onnxlet_cli.drift.chart import draw

        require_chart("--plot", plot)
        draw(f"{manifest.model} version {manifest.version}: {rows} rows", found, plot)
    code = TOO_FEW if rows < MIN_ROWS else DRIFTED if any(each.is_over for each in found) else 0
    if json:
        output.print_json(_document(manifest, samples, rows, found, code))
    else:
        _print(manifest, samples, rows, found, code)
    if code:
        raise typer.Exit(code)


def _reference(manifest: Manifest) -> Reference:
    if manifest.reference is None:
        raise InvalidRequestError(
            f"{manifest.model} version {manifest.version} has no reference to compare with: `onnxlet train` writes one "
            "for classifiers"
        )
    return Reference.from_document(Document(dict(manifest.reference), "manifest.reference"))


def _document(manifest: Manifest, samples: Samples, rows: int, found: list[Moved], code: int) -> dict[str, Any]:
    return {
        "model": manifest.model,
        "version": manifest.version,
        "requests": samples.requests,
        "rows": rows,
        "enough": code != TOO_FEW,
        "moved": code == DRIFTED,
        "measures": [each.to_document() for each in found],
    }


def _print(manifest: Manifest, samples: Samples, rows: int, found: list[Moved], code: int) -> None:
    title = f"{manifest.model} version {manifest.version}: {rows} rows of {samples.requests} requests"
    if code == TOO_FEW:
        output.print_line(f"{title}; expected {MIN_ROWS} rows or more, to tell whether anything moved")
        return
    output.print_table([_row(each, manifest) for each in found])
    moved = [each.name for each in found if each.is_over]
    output.print_line(f"{title}; {'moved: ' + ', '.join(moved) if moved else 'nothing moved'}")


def _row(each: Moved, manifest: Manifest) -> output.Row:
    """One measure: its means, or the label whose share has changed most."""
    before: object
    now: object
    if each.means is not None:
        before, now = each.means
    else:
        assert manifest.classification is not None, "labels were counted"
        changes = [abs(after - first) for first, after in zip(each.before, each.now, strict=True)]
        place = changes.index(max(changes))
        label = manifest.classification.labels[place]
        before, now = (f"{label}: {shares[place]:.1%}" for shares in (each.before, each.now))
    verdict = "moved" if each.is_over else ""
    figures = {"index": each.index, "bound": each.bound}
    return {"measure": each.name, **figures, "": verdict, "in training": before, "now": now}
