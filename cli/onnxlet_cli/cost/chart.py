"""The comparison's chart: the cost of a month by its number of requests, a line for each platform."""

from pathlib import Path

from onnxlet_cli.chart import FAINT, OURS, THEIRS, drawn
from onnxlet_cli.cost.compare import Comparison, cheapest

FEWEST, MOST = 1e3, 1e9
"""Range of requests a month."""
POINTS = 240

COLOURS = {
    "Lambda arm64": OURS,
    "Lambda x86_64": "#5eada6",
    "Cloud Run x86_64": "#4a72b8",
    "SageMaker x86_64": "#b4652d",
}


def draw(comparison: Comparison, path: Path) -> None:
    """Draw each platform in the size that is cheapest for many requests into a file.

    Raises:
        OSError: The file cannot be written.
    """
    traffic = [FEWEST * (MOST / FEWEST) ** (index / (POINTS - 1)) for index in range(POINTS)]
    with drawn(path, 10, figsize=(9, 5.2)) as (figure, axis):
        for label, offer in cheapest(comparison).items():
            values = [offer.monthly_usd(requests) for requests in traffic]
            axis.plot(traffic, values, color=COLOURS[label], label=f"{label}, {offer.memory_mib:,} MiB")
        for instance, dashes in zip(comparison.instances, ("-", "--"), strict=True):
            values = [instance.monthly_usd(requests) for requests in traffic]
            axis.plot(traffic, values, color=THEIRS, linestyle=dashes, label=f"{instance.name}, always on")
        axis.set(xscale="log", yscale="log", xlabel="requests a month", ylabel="US dollars a month")
        axis.set_title("Cost of serving", loc="left", fontsize=11, fontweight="bold")
        axis.grid(color="#e8ebef", linewidth=0.8)
        axis.legend(frameon=False, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        figure.supxlabel(
            f"{comparison.workload.source}: {comparison.workload.milliseconds:.3g} ms on a full vCPU; "
            f"list prices of {comparison.prices.date}",
            fontsize=8.5,
            color=FAINT,
        )
