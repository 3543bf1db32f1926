"""The drift's chart: the share of each bin of each measure, in training and among the samples."""

from collections.abc import Sequence
from pathlib import Path

from onnxlet_cli.chart import OURS, THEIRS, drawn
from onnxlet_cli.drift.compare import MeasureDrift

COLUMNS = 3


def draw(title: str, drifts: Sequence[MeasureDrift], path: Path) -> None:
    """Draw the measures in the given order into a file.

    Raises:
        OSError: The file cannot be written.
    """
    rows = -(-len(drifts) // COLUMNS)
    with drawn(path, 9, rows, COLUMNS, figsize=(10, 0.4 + 2.4 * rows), squeeze=False) as (figure, axes):
        for axis in axes.flat[len(drifts) :]:
            axis.set_axis_off()
        for axis, drift in zip(axes.flat, drifts, strict=False):
            places = range(len(drift.training))
            axis.bar([place - 0.2 for place in places], drift.training, 0.4, color=THEIRS, label="training")
            axis.bar([place + 0.2 for place in places], drift.now, 0.4, color=OURS, label="now")
            verdict = "moved" if drift.has_moved else "as before"
            axis.set_title(f"{drift.name}: {drift.index:.2f}, {verdict}", loc="left", fontweight="bold", fontsize=9)
            axis.set(xticks=list(places), xlabel="label" if drift.means is None else "bin")
            axis.spines[["top", "right"]].set_visible(False)
        axes.flat[0].set_ylabel("share")
        axes.flat[0].legend(frameon=False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
