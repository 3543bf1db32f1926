"""Charts: the file formats, the colours and the frame of every chart that the command draws."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnxlet_publishing.errors import MachineError, UsageError

FORMATS = (".png", ".svg", ".pdf")
DPI = 144
OURS, THEIRS, INK, FAINT = "#0f766e", "#b6bec9", "#1f2933", "#6b7785"


def require_chart(option: str, path: Path) -> None:
    """Check that a chart can be drawn into a file, before anything is measured.

    Raises:
        UsageError: The file's name has another format, or its folder does not exist.
        MachineError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{option} {path}: expected a file that ends in {', '.join(FORMATS)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: expected a file in an existing folder")
    require_matplotlib()


def require_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        MachineError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MachineError("--chart needs matplotlib: pip install 'onnxlet[training]'")


@contextmanager
def drawn(path: Path, font_size: int, *grid: int, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Yield a new figure and its axes, and save the figure to a file when the context ends.

    Args:
        path: The file.
        font_size: The size of text, in points.
        grid: The numbers of rows and columns of axes.
        options: Further options of `pyplot.subplots`.

    Raises:
        OSError: The file cannot be written.
    """
    import matplotlib as mpl  # slow, and only in the training extra

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": font_size, "text.color": INK, "xtick.color": INK, "ytick.color": INK}):
        figure, axes = plt.subplots(*grid, layout="constrained", **options)
        yield figure, axes
        figure.savefig(path, dpi=DPI, facecolor="white")
        plt.close(figure)
