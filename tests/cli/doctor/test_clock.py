from email.utils import formatdate

import pytest

from onnxlet_cli.doctor import clock

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("skew_s", "severity", "words"),
    [
        (2, "ok", "agrees"),
        (-29, "ok", "agrees"),
        (60, "warning", "60 s ahead of theirs"),
        (-3600, "error", "3600 s behind theirs"),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_much(skew_s: float, severity: str, words: str) -> None:
    (finding,) = clock.examine({"date": formatdate(NOW_S, usegmt=True)}, "https://store", NOW_S + skew_s)
    assert finding.severity == severity
    assert words in finding.to_line()


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_an_answer_without_a_date_says_nothing(headers: dict[str, str]) -> None:
    assert list(clock.examine(headers, "https://store")) == []
