"""The report: a table for people, a document for machines, and a picture of the memory."""

from __future__ import annotations

from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from onnxlet_cli import output
from onnxlet_cli.bench import machine
from onnxlet_cli.chart import DPI, FAINT, OURS, THEIRS, require_matplotlib
from tests.soak import memory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak.drive import Outcome
    from tests.soak.histogram import Histogram

SCHEMA = 1
MIB = 1024 * 1024

MAX_GROWTH = 1.1
"""The memory at the end, as a share of that after the first minute."""

AMOUNTS = {"rss": attrgetter("rss_bytes"), "uss": attrgetter("uss_bytes")}
"""What is resident of the process, and what of it no other process shares."""


def growth(outcome: Outcome) -> dict[str, float | None]:
    """How the memory has grown since the first minute; None where the run was too short to say."""
    return {name: memory.growth(outcome.samples, amount) for name, amount in AMOUNTS.items()}


def problems(outcome: Outcome) -> list[str]:
    """What must not be."""
    found = list(outcome.failures)
    if outcome.tally.failed > len(outcome.tally.failures):
        found.append(f"... {outcome.tally.failed} failed requests in all")
    for name, grown in growth(outcome).items():
        if grown is not None and grown > MAX_GROWTH:
            found.append(f"{name} at the end is {grown:.2f} of that after the first minute, more than {MAX_GROWTH}")
    return found


def to_document(outcome: Outcome) -> dict[str, Any]:
    """All that was measured."""
    tally = outcome.tally
    return {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "plan": asdict(outcome.plan),
        "seconds": outcome.seconds,
        "requests": tally.requests,
        "requests_per_s": tally.requests / outcome.seconds,
        "failed": tally.failed,
        "statuses": dict(tally.statuses),
        "latencies_ms": {
            kind: _latencies(histogram) for kind, histogram in {"all": tally.all_latencies(), **tally.latencies}.items()
        },
        "updates": outcome.updates,
        "versions_seen": len(tally.versions),
        "canaries_seen": outcome.canaries,
        "growth": growth(outcome),
        "memory": [asdict(sample) for sample in outcome.samples],
        "problems": problems(outcome),
    }


def print_report(outcome: Outcome) -> None:
    """Print the figures, and what must not be."""
    plan, tally = outcome.plan, outcome.tally
    output.print_line(
        f"{plan.cloud}'s local runtime, {plan.clients} clients, {outcome.seconds:.0f} s, a live update every "
        f"{plan.update_s:g} s: {tally.requests} requests, {tally.requests / outcome.seconds:.0f} per s, "
        f"{tally.failed} failed"
    )
    kinds = {"all": tally.all_latencies(), **dict(sorted(tally.latencies.items()))}
    output.print_table([{"request": kind, **_row(histogram)} for kind, histogram in kinds.items()])
    output.print_line(f"answers: {_counts(tally.statuses)}")
    output.print_line(
        f"updates: {_counts(outcome.updates)}; {len(tally.versions)} versions answered, {outcome.canaries} canaries"
    )
    for name, amount in AMOUNTS.items():
        amounts = [amount(sample) / MIB for sample in outcome.samples]
        grown = growth(outcome)[name]
        end = "too short to say how it grows" if grown is None else f"at the end {grown:.2f} of that after a minute"
        if amounts:
            output.print_line(f"{name}: {amounts[0]:.0f} MiB at first, {max(amounts):.0f} at most; {end}")
    for problem in problems(outcome):
        output.print_warning(problem)


def draw(outcome: Outcome, path: Path) -> None:
    """Draw the memory over time into a PNG, with the bound that it must keep.

    Raises:
        MachineError: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl  # of the training extra, and slow

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for (name, amount), color in zip(AMOUNTS.items(), (OURS, THEIRS), strict=True):
        times = [sample.at_s / 60 for sample in outcome.samples]
        amounts = [amount(sample) / MIB for sample in outcome.samples]
        axis.plot(times, amounts, color=color, linewidth=1.2, label=name.upper())
        if growth(outcome)[name] is not None:
            bound = MAX_GROWTH * memory.after_first_minute(outcome.samples, amount) / MIB
            axis.axhline(bound, color=color, linewidth=0.8, linestyle="--")
    axis.set(xlabel="minutes", ylabel="MiB", ylim=(0, None), xlim=(0, None))
    title = f"{outcome.plan.cloud}, {outcome.plan.clients} clients: memory of the function; dashed: {MAX_GROWTH} x"
    axis.set_title(f"{title} that after the first minute", loc="left", fontsize=10, color=FAINT)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=DPI, facecolor="white")
    plt.close(figure)


def _latencies(histogram: Histogram) -> dict[str, float]:
    return {
        "count": histogram.count,
        **{f"p{percent:g}": histogram.percentile(percent) * 1000 for percent in (50, 99, 99.9)},
    }


def _row(histogram: Histogram) -> output.Row:
    found = _latencies(histogram)
    return {name: f"{value:,.0f}" if name == "count" else f"{value:.1f} ms" for name, value in found.items()}


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
