from onnxlet_cli.bench.results import GOALS, Comparison, Section
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


def test_a_goal_is_met_on_its_own_side() -> None:
    assert GOALS["cold mobile / typical"].is_met(0.25)
    assert not GOALS["cold mobile / typical"].is_met(0.26)
    assert GOALS["events / one by one"].is_met(4.0)
    assert not GOALS["events / one by one"].is_met(3.9)
