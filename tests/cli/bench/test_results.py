from onnxlet_cli.bench.results import Comparison, Section
from onnxlet_cli.bench.series import Series

OURS, BASELINE = Series("onnxlet", (1.0, 3.0, 2.0), "ms"), Series("typical", (8.0,), "ms")


def test_a_figure_is_a_ratio_or_a_difference_of_medians() -> None:
    assert Comparison("x", "ratio", OURS, BASELINE).value == 0.25
    assert Comparison("x", "difference", OURS, BASELINE, "ms").value == -6.0
    assert Comparison("x", "ratio", OURS, BASELINE).goal is None


def test_the_document_names_the_baseline_and_further_facts() -> None:
    comparison = Comparison("cold mobile / typical", "cold start", OURS, BASELINE)
    document = Section("cold", "Cold", [OURS], [comparison], facts={"throttle": {}}).to_document()
    assert document["throttle"] == {}
    figure = document["comparisons"][0]
    assert (figure["ours"], figure["baseline"], figure["goal"], figure["met"]) == ("onnxlet", "typical", 0.25, True)
