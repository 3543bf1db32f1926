import pytest

from onnxlet_training.page import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0.31, 0.98, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 12, [0, 5, 10, 15]),
        (-3e-7, 3e-7, [-4e-7, -2e-7, 0, 2e-7, 4e-7]),
        (2.0, 2.0, [1.5, 1.75, 2.0, 2.25, 2.5]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_a_curve_lies_inside_of_the_field_with_a_larger_dot_at_the_kept_epoch() -> None:
    chart = charts.curves("loss", {"training": [1.0, 0.5, float("nan")], "validation": [0.9, 0.6, 0.7]}, 2)
    assert chart is not None
    dots = [mark for mark in chart.marks if isinstance(mark, charts.Dot)]
    assert [dot.text for dot in dots][:2] == ["training, epoch 1: 1.0000", "training, epoch 2: 0.5000"]
    assert [dot.radius for dot in dots] == [2.5, 4, 2.5, 4, 2.5]
    for x, y in (dot.place for dot in dots):
        assert charts.LEFT <= x <= chart.width - charts.RIGHT
        assert charts.TOP <= y <= chart.height - charts.BOTTOM


def test_a_measure_without_a_finite_number_has_no_chart() -> None:
    assert charts.curves("loss", {"training": [float("inf"), float("nan")]}, 1) is None
