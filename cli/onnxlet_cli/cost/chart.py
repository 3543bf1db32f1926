"""The comparison's picture: what a month costs over the traffic, a line for each platform."""

from pathlib import Path
from typing import Any

from onnxlet_cli.bench.chart import DPI, FAINT, INK, OURS, THEIRS
from onnxlet_cli.cost.compare import Comparison, cheapest
from onnxlet_cli.cost.offers import AlwaysOn, Offer

FEWEST, MOST = 1e3, 1e9
"""Requests a month."""
POINTS = 240

COLOURS = {
    "Lambda arm64": OURS,
    "Lambda x86_64": "#5eada6",
    "Cloud Run x86_64": "#4a72b8",
    "SageMaker x86_64": "#b4652d",
}


def draw(comparison: Comparison, path: Path) -> None:
    """Draw each platform in the size that is cheapest for many requests into a PNG.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl  # of the training extra, and slow

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    traffic = [FEWEST * (MOST / FEWEST) ** (index / (POINTS - 1)) for index in range(POINTS)]
    with plt.rc_context({"font.size": 10, "text.color": INK, "xtick.color": INK, "ytick.color": INK}):
        figure, axis = plt.subplots(figsize=(9, 5.2), layout="constrained")
        for label, offer in cheapest(comparison).items():
            axis.plot(traffic, [offer.monthly_usd(each) for each in traffic], color=COLOURS[label], label=_label(offer))
        for instance, dashes in zip(comparison.instances, ("-", "--"), strict=True):
            values = [instance.monthly_usd(each) for each in traffic]
            axis.plot(traffic, values, color=THEIRS, linestyle=dashes, label=_instance_label(instance))
        axis.set(xscale="log", yscale="log", xlabel="requests a month", ylabel="US dollars a month")
        axis.set_title("What answering costs", loc="left", fontsize=11, fontweight="bold")
        axis.grid(color="#e8ebef", linewidth=0.8)
        axis.legend(frameon=False, fontsize=9)
        _bare(axis)
        figure.supxlabel(
            f"{comparison.workload.source}: {comparison.workload.milliseconds:.3g} ms on a full vCPU; "
            f"list prices of {comparison.prices.date}",
            fontsize=8.5,
            color=FAINT,
        )
        figure.savefig(path, dpi=DPI, facecolor="white")
        plt.close(figure)


def _label(offer: Offer) -> str:
    return f"{offer.platform} {offer.architecture}, {offer.memory_mib:,} MiB"


def _instance_label(instance: AlwaysOn) -> str:
    return f"{instance.type.name} {instance.type.architecture}, always on"


def _bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
