"""The picture of a drift: for each measure the shares of its bins in the reference, and among the samples."""

from collections.abc import Sequence
from pathlib import Path

from onnxlet_cli.bench.chart import DPI, INK, OURS, THEIRS
from onnxlet_cli.drift.compare import Moved

COLUMNS = 3


def draw(title: str, found: Sequence[Moved], path: Path) -> None:
    """Draw the measures, in the order given, into a PNG.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl  # of the training extra, and slow

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = -(-len(found) // COLUMNS)
    with plt.rc_context({"font.size": 9, "text.color": INK, "xtick.color": INK, "ytick.color": INK}):
        figure, axes = plt.subplots(rows, COLUMNS, figsize=(10, 0.4 + 2.4 * rows), layout="constrained", squeeze=False)
        for axis in axes.flat[len(found) :]:
            axis.set_axis_off()
        for axis, each in zip(axes.flat, found, strict=False):
            places = range(len(each.before))
            axis.bar([place - 0.2 for place in places], each.before, 0.4, color=THEIRS, label="training")
            axis.bar([place + 0.2 for place in places], each.now, 0.4, color=OURS, label="now")
            verdict = "moved" if each.is_over else "as before"
            axis.set_title(f"{each.name}: {each.index:.2f}, {verdict}", loc="left", fontweight="bold", fontsize=9)
            axis.set(xticks=list(places), xlabel="label" if each.means is None else "bin")
            axis.spines[["top", "right"]].set_visible(False)
        axes.flat[0].set_ylabel("share")
        axes.flat[0].legend(frameon=False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.savefig(path, dpi=DPI)
        plt.close(figure)
