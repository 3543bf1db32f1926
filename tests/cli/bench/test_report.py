import json

import pytest

from onnxlet_cli.bench import machine, report
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.series import Series

OURS = Series("mobile: onnxlet", (100.0, 120.0, 110.0), "ms")
THEIRS = Series("mobile: typical", (600.0, 500.0, 550.0), "ms")
RUN = Series("tiny: session.run", (5.0,), "us")
HANDLER = Series("tiny: aws_http", (75.5,), "us")
COMPARISONS = [
    Comparison("cold mobile / typical", "cold start: onnxlet / typical", OURS, THEIRS),
    Comparison("warm tiny binary - run", "aws_http minus session.run", HANDLER, RUN, "us"),
    Comparison("events / one by one", "objects per second", OURS, THEIRS),
    Comparison("cold tiny / typical", "no goal", OURS, THEIRS),
]
SECTION = Section("cold", "Cold start", [OURS, THEIRS], COMPARISONS, ["a note"], [Panel("Cold", {"onnxlet": OURS})])


def test_each_figure_stands_beside_its_goal() -> None:
    rows = [tuple(report.comparison_row(comparison).values())[1:] for comparison in COMPARISONS]
    assert rows == [
        ("0.20", "≤ 0.25", "met"),
        ("70.5 µs", "≤ 60.0 µs", "missed"),
        ("0.20", "≥ 4.00", "missed"),
        ("0.20", "", ""),
    ]


def test_the_document_has_the_machine_and_every_sample() -> None:
    described = machine.describe()
    document = json.loads(json.dumps(report.to_document(described, [SECTION])))
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["packages"]["onnxruntime"]
    section = document["sections"][0]
    assert section["series"][0]["samples"] == [100.0, 120.0, 110.0]
    assert section["series"][0]["median"] == 110.0
    figure = section["comparisons"][0]
    assert (figure["value"], figure["goal"], figure["goal_is"], figure["met"]) == (0.2, 0.25, "at most", True)
    assert document["not_measured"]


def test_the_report_ends_with_what_it_does_not_measure(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_report(machine.describe(), [SECTION])
    printed = capsys.readouterr().out
    assert "mobile: onnxlet" in printed
    assert "- a note" in printed
    assert "What this does not measure:" in printed
    assert printed.rstrip().splitlines()[-1].startswith("- accuracy")
