"""The benchmark's chart: a panel for each comparison, with a bar for each median, onnxlet's in colour."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnxlet_cli.bench.results import Panel
from onnxlet_cli.bench.series import Series
from onnxlet_cli.chart import FAINT, OURS, THEIRS, drawn

COLUMNS = 2
MAX_SPREAD = 4.0
"""A bar that is more than this many times as long as the second longest is cut, so that the others stay visible."""


def draw(panels: Sequence[Panel], machine: dict[str, Any], path: Path) -> None:
    """Draw the panels into a file.

    Raises:
        OSError: The file cannot be written.
    """
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    places = [max(len(panel.bars) for panel in row) for row in rows]
    size = (10.5, 0.7 + sum(0.62 + 0.34 * count for count in places))
    heights = [1.6 + count for count in places]
    with drawn(path, 10, len(rows), COLUMNS, figsize=size, squeeze=False, height_ratios=heights) as (figure, axes):
        for line, row, count in zip(axes, rows, places, strict=True):
            for axis in line:
                axis.set_axis_off()
            for axis, panel in zip(line, row, strict=False):
                _draw_panel(axis, panel, count)
        figure.supxlabel(_caption(machine), fontsize=8.5, color=FAINT, x=0.01, ha="left")


def axis_end(values: Sequence[float]) -> float:
    """Return where the axis ends: at the largest value, or after the second largest if the largest dwarfs it."""
    ordered = sorted(values)
    if len(ordered) > 1 and ordered[-1] > MAX_SPREAD * ordered[-2]:
        return ordered[-2] * 1.5
    return ordered[-1]


def _draw_panel(axis: Any, panel: Panel, places: int) -> None:
    """Draw bars from the top, each followed by its median; panels of one row have the same number of places."""
    end = axis_end([series.median for series in panel.bars.values()])
    axis.set_axis_on()
    axis.set_title(panel.title, loc="left", fontsize=11, fontweight="bold")
    for place, (label, series) in enumerate(panel.bars.items()):
        is_ours = label.startswith("onnxlet")
        length = min(series.median, end)
        axis.barh(place, length, height=0.7, color=OURS if is_ours else THEIRS, linewidth=0)
        if length < series.median:
            _draw_cut(axis, end, place)
        weight = "bold" if is_ours else "normal"
        axis.text(length + end * 0.015, place, _amount(series), va="center", fontweight=weight)
    axis.set(xlim=(0, end * 1.25), ylim=(places - 0.5, -0.5), xticks=[])
    axis.set_yticks(range(len(panel.bars)), list(panel.bars))
    axis.tick_params(axis="y", length=0)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("onnxlet") else "normal")
    axis.spines[:].set_visible(False)


def _draw_cut(axis: Any, end: float, place: int) -> None:
    """Draw two white strokes through a bar that is longer than it is drawn."""
    for left in (end * 0.93, end * 0.95):
        axis.plot([left, left + end * 0.015], [place + 0.42, place - 0.42], color="white", linewidth=2)


def _amount(series: Series) -> str:
    digits = 0 if series.median >= 20 else 1
    return f"{series.median:,.{digits}f} {'µs' if series.unit == 'us' else series.unit}"


def _caption(machine: dict[str, Any]) -> str:
    packages = machine["packages"]
    return (
        f"onnxlet bench: medians; {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"onnxruntime {packages.get('onnxruntime', '?')}. Shorter is better, except for objects/s.\n"
        "typical: boto3, /tmp, default session, JSON. limit: import onnxruntime, load the local file, run. "
        "naive: TensorFlow, Keras file."
    )
