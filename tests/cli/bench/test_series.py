from functools import partial

import numpy as np
import pytest

from onnxlet_cli.bench.series import Series, interleave


@pytest.mark.parametrize("count", [1, 2, 7, 100, 1000])
def test_the_99th_percentile_is_numpys(count: int) -> None:
    samples = tuple(np.random.default_rng(count).random(count).tolist())
    series = Series("x", samples, "ms")
    assert series.p99 == pytest.approx(np.percentile(samples, 99))
    assert series.median == pytest.approx(np.percentile(samples, 50))
    assert series.best == min(samples)


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    assert Series("x", (4.0, 1.0, 3.0, 2.0), "ms").median == 2.5


def test_a_ratio_is_that_of_the_medians() -> None:
    ours, theirs = Series("ours", (1.0, 2.0, 90.0), "ms"), Series("theirs", (8.0, 7.0, 9.0), "ms")
    assert ours.ratio(theirs) == 0.25


def test_cases_take_turns_and_the_first_round_does_not_count() -> None:
    done: list[str] = []
    found = list(interleave({name: partial(done.append, name) for name in "abc"}, 3))
    assert "".join(done) == "abc" + "bca" + "cab" + "abc"
    assert [name for name, _ in found] == done[3:]


def test_what_was_measured_is_handed_on() -> None:
    assert list(interleave({"a": lambda: 1, "b": lambda: 2}, 1)) == [("b", 2), ("a", 1)]


def test_a_slow_case_has_fewer_rounds() -> None:
    done: list[str] = []
    cases = {name: partial(done.append, name) for name in ("fast", "slow")}
    names = [name for name, _ in interleave(cases, 5, {"slow": 2})]
    assert names == done[2:]
    assert names.count("fast") == 5
    assert names.count("slow") == 2
