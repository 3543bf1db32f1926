"""The benchmark's picture: a panel for each comparison, with bars of medians, ours in colour."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnxlet.errors import InvalidRequestError, SettingsError
from onnxlet_cli.bench.results import Panel
from onnxlet_cli.bench.statistics import Series

COLUMNS = 2
DPI = 144
OURS, THEIRS, INK, FAINT = "#0f766e", "#b6bec9", "#1f2933", "#6b7785"
MAX_SPREAD = 4.0
"""A bar of more than so many times the second largest would leave no room for the others: it is cut."""


FORMATS = (".png", ".svg", ".pdf")


def require_chart(option: str, path: Path) -> None:
    """Make sure that a chart can be drawn into a file, before anything is measured.

    Raises:
        InvalidRequestError: the file's name says another format, or there is no folder for it.
        SettingsError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidRequestError(f"{option} {path}: expected a file that ends in {', '.join(FORMATS)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidRequestError(f"{option} {path}: expected a file in a folder that is there")
    require_matplotlib()


def require_matplotlib() -> None:
    """Make sure that matplotlib is there.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError("--chart needs matplotlib: pip install 'onnxlet[training]'")


def draw(panels: Sequence[Panel], machine: dict[str, Any], path: Path) -> None:
    """Draw the panels into a PNG.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl  # of the training extra, and slow

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    places = [max(len(panel.bars) for panel in row) for row in rows]
    with plt.rc_context({"font.size": 10, "text.color": INK, "xtick.color": INK, "ytick.color": INK}):
        size = (10.5, 0.7 + sum(0.62 + 0.34 * count for count in places))
        heights = [1.6 + count for count in places]
        figure, axes = plt.subplots(
            len(rows), COLUMNS, figsize=size, squeeze=False, layout="constrained", height_ratios=heights
        )
        for line, row, count in zip(axes, rows, places, strict=True):
            for axis in line:
                axis.set_axis_off()
            for axis, panel in zip(line, row, strict=False):
                _draw_panel(axis, panel, count)
        figure.supxlabel(_caption(machine), fontsize=8.5, color=FAINT, x=0.01, ha="left")
        figure.savefig(path, dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=0.15)
        plt.close(figure)


def bounds(values: Sequence[float]) -> float:
    """Where the axis ends: behind the largest value, or behind the second where the largest dwarfs all."""
    ordered = sorted(values)
    if len(ordered) > 1 and ordered[-1] > MAX_SPREAD * ordered[-2]:
        return ordered[-2] * 1.5
    return ordered[-1]


def _draw_panel(axis: Any, panel: Panel, places: int) -> None:
    """Bars from the top, each with its median behind it; there are as many places as in the panel beside this one."""
    end = bounds([series.median for series in panel.bars.values()])
    axis.set_axis_on()
    axis.set_title(panel.title, loc="left", fontsize=11, fontweight="bold")
    for place, (label, series) in enumerate(panel.bars.items()):
        is_ours = label.startswith("onnxlet")
        length = min(series.median, end)
        axis.barh(place, length, height=0.7, color=OURS if is_ours else THEIRS, linewidth=0)
        if length < series.median:
            _cut(axis, end, place)
        weight = "bold" if is_ours else "normal"
        axis.text(length + end * 0.015, place, _amount(series), va="center", fontweight=weight)
    axis.set(xlim=(0, end * 1.25), ylim=(places - 0.5, -0.5), xticks=[])
    axis.set_yticks(range(len(panel.bars)), list(panel.bars))
    axis.tick_params(axis="y", length=0)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("onnxlet") else "normal")
    axis.spines[:].set_visible(False)


def _cut(axis: Any, end: float, place: int) -> None:
    """Two white strokes through a bar that is longer than it is drawn."""
    for left in (end * 0.93, end * 0.95):
        axis.plot([left, left + end * 0.015], [place + 0.42, place - 0.42], color="white", linewidth=2)


def _amount(series: Series) -> str:
    digits = 0 if series.median >= 20 else 1
    return f"{series.median:,.{digits}f} {'µs' if series.unit == 'us' else series.unit}"


def _caption(machine: dict[str, Any]) -> str:
    packages = machine["packages"]
    return (
        f"onnxlet bench: medians; {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"onnxruntime {packages.get('onnxruntime', '?')}. Shorter is better, but for objects/s.\n"
        "typical: boto3, /tmp, default session, JSON. limit: import onnxruntime, load the local file, run. "
        "naive: TensorFlow, Keras file."
    )
