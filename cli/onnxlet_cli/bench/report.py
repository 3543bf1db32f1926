"""The benchmark's report: tables for people, one document for machines."""

from collections.abc import Sequence
from typing import Any

from onnxlet_cli import output
from onnxlet_cli.bench.results import Comparison, Section
from onnxlet_cli.bench.series import Series

SCHEMA = 2
"""Version of the document: the second says `baseline` instead of `reference`."""

BUSY = 0.5
"""Load per core above which other work distorts the figures."""

NOT_MEASURED = (
    "a real cloud: nothing ran on Lambda or Cloud Run, whose placement adds some 100 ms, and 4 to 8 ms per MB",
    "the network: TLS handshakes, DNS, IAM and a distant bucket; S3 is on this machine, as fast as stated",
    "a function's bandwidth over all its connections, which AWS does not state",
    "a cold page cache: every file had been read before, in every case",
    "one vCPU by quota, unless a row says so: the baselines had all cores of this machine",
    "concurrent requests, and other CPUs, such as Graviton",
    "accuracy: the weights are random, and the answers are only compared with those of onnxruntime",
)
"""Limits of the figures, for their readers."""


def to_document(machine: dict[str, Any], sections: Sequence[Section]) -> dict[str, Any]:
    """Return the document of a run, with every sample."""
    return {
        "schema": SCHEMA,
        "machine": machine,
        "sections": [section.to_document() for section in sections],
        "not_measured": list(NOT_MEASURED),
    }


def print_report(machine: dict[str, Any], sections: Sequence[Section]) -> None:
    """Print the machine, tables of each section's medians and figures, and what the figures do not show."""
    packages = machine["packages"]
    output.print_line(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"load {machine['load'][0]} at the start; Python {machine['python']}, "
        f"onnxruntime {packages.get('onnxruntime')}, onnxlet {packages.get('onnxlet')}"
    )
    if machine["load"][0] > BUSY * machine["cores"]:
        output.print_warning("the machine was busy with other work: repeat the benchmark when it is idle")
    for section in sections:
        output.print_line(f"\n{section.title}")
        output.print_table([_series_row(series) for series in section.series])
        output.print_line("")
        output.print_table([comparison_row(comparison) for comparison in section.comparisons])
        for note in section.notes:
            output.print_line(f"- {note}")
    output.print_line("\nWhat this does not measure:")
    for line in NOT_MEASURED:
        output.print_line(f"- {line}")


def comparison_row(comparison: Comparison) -> output.Row:
    """Return the table row of a figure and its goal."""
    goal, value = comparison.goal, comparison.value
    sign = "≥" if goal is not None and goal.is_least else "≤"
    return {
        "figure": comparison.what,
        "measured": _figure(value, comparison.unit),
        "goal": "" if goal is None else f"{sign} {_figure(goal.bound, comparison.unit)}",
        "": "" if goal is None else "met" if goal.is_met(value) else "missed",
    }


def _series_row(series: Series) -> output.Row:
    return {
        "measured": series.label,
        "median": _amount(series.median),
        "p99": _amount(series.p99),
        "min": _amount(series.best),
        "unit": "µs" if series.unit == "us" else series.unit,
        "runs": str(len(series.samples)),
    }


def _figure(value: float, unit: str) -> str:
    if unit:
        return f"{_amount(value)} {'µs' if unit == 'us' else unit}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
