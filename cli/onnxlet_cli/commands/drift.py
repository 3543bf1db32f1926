"""`onnxlet drift`: compares what functions have captured with training, and prints what has moved."""

from pathlib import Path
from typing import Annotated, Any

import typer

from onnxlet.contract import layout
from onnxlet.contract.document import Document
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.training_statistics import TrainingStatistics
from onnxlet_cli import output
from onnxlet_cli.drift.compare import MeasureDrift, compare
from onnxlet_cli.drift.samples import Samples, read_samples
from onnxlet_cli.options import JsonOption, RegistryOption, finite
from onnxlet_cli.registry import open_place, open_registry
from onnxlet_publishing.errors import UsageError

MIN_ROWS = 50
"""Fewest rows that are compared: with fewer, the bound would exceed any threshold."""

DRIFTED, TOO_FEW = 1, 2
"""Exit codes if a measure has moved, and if there are too few rows to say."""


def drift(
    name: Annotated[str, typer.Argument(help="Model, as NAME or NAME@ALIAS.")],
    results: Annotated[
        list[str],
        typer.Option(metavar="URL", envvar="ONNXLET_RESULTS", help="The functions' ONNXLET_RESULTS; may be repeated."),
    ],
    since: Annotated[
        int, typer.Option(metavar="DAYS", min=0, max=3650, help="Number of days before today; 0 reads only today.")
    ] = 7,
    threshold: Annotated[
        float,
        typer.Option(callback=finite, min=0, help="Population stability index above which a measure has moved."),
    ] = 0.2,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw the measures into a .png, .svg or .pdf file.")
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the requests and answers that functions have captured (ONNXLET_CAPTURE) with training.

    The exit code is 1 if a measure has moved, and 2 if too few rows were captured to say.
    """
    model, _, alias = name.partition("@")
    manifest = open_registry(registry).resolve(model, alias or layout.LIVE)
    training = _training_statistics(manifest)
    samples = read_samples([open_place(url) for url in results], manifest, since)
    rows = max(map(len, samples.measures.values()), default=0)
    drifts = compare(manifest, training, samples, threshold)
    if plot is not None and drifts:
        # Imported here: most runs draw nothing.
        from onnxlet_cli.chart import require_chart
        from onnxlet_cli.drift.chart import draw

        require_chart("--plot", plot)
        draw(f"{manifest.model} version {manifest.version}: {rows} rows", drifts, plot)
    code = TOO_FEW if rows < MIN_ROWS else DRIFTED if any(drift.has_moved for drift in drifts) else 0
    if json:
        output.print_json(_document(manifest, samples, rows, drifts, code))
    else:
        _print(manifest, samples, rows, drifts, code)
    if code:
        raise typer.Exit(code)


def _training_statistics(manifest: Manifest) -> TrainingStatistics:
    if manifest.training_statistics is None:
        raise UsageError(
            f"{manifest.model} version {manifest.version}: expected training statistics to compare with, got none; "
            "`onnxlet train` writes them for classifiers"
        )
    return TrainingStatistics.from_document(Document(dict(manifest.training_statistics), "manifest.reference"))


def _document(manifest: Manifest, samples: Samples, rows: int, drifts: list[MeasureDrift], code: int) -> dict[str, Any]:
    return {
        "model": manifest.model,
        "version": manifest.version,
        "requests": samples.requests,
        "rows": rows,
        "enough": code != TOO_FEW,
        "moved": code == DRIFTED,
        "measures": [drift.to_document() for drift in drifts],
    }


def _print(manifest: Manifest, samples: Samples, rows: int, drifts: list[MeasureDrift], code: int) -> None:
    title = f"{manifest.model} version {manifest.version}: {rows} rows of {samples.requests} requests"
    if code == TOO_FEW:
        output.print_line(f"{title}; expected {MIN_ROWS} rows or more, to say whether anything moved")
        return
    output.print_table([_row(drift, manifest) for drift in drifts])
    moved = [drift.name for drift in drifts if drift.has_moved]
    output.print_line(f"{title}; {'moved: ' + ', '.join(moved) if moved else 'nothing moved'}")


def _row(drift: MeasureDrift, manifest: Manifest) -> output.Row:
    """Return the row of one measure: its means, or the label whose share has changed most."""
    training: object
    now: object
    if drift.means is not None:
        training, now = drift.means
    else:
        assert manifest.classification is not None, "labels were counted"
        changes = [abs(after - before) for before, after in zip(drift.training, drift.now, strict=True)]
        index = changes.index(max(changes))
        label = manifest.classification.labels[index]
        training, now = (f"{label}: {shares[index]:.1%}" for shares in (drift.training, drift.now))
    verdict = "moved" if drift.has_moved else ""
    figures = {"index": drift.index, "bound": drift.bound}
    return {"measure": drift.name, **figures, "": verdict, "in training": training, "now": now}
