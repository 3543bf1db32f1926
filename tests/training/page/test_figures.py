import pytest

from onnxlet_training.page.figures import duration, figure, label, percent, size


def test_figures_are_written_as_they_are_read() -> None:
    assert [duration(seconds) for seconds in (4.49, 61, 7500)] == ["4.5 s", "1 min 1 s", "2 h 5 min"]
    assert [size(count) for count in (999, 142_835, 4_200_000)] == ["999 bytes", "142.8 kB", "4.2 MB"]
    assert [percent(share) for share in (0.95555, 1.0, 0.99999)] == ["95.56 %", "100 %", "99.99 %"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("accuracy", 0.875, "87.5 %"),
        ("characters", 1234, "1,234"),
        ("perplexity", 4.5, "4.5000"),
        ("feature_distance", 123.456, "123.5"),
    ],
)
def test_a_measure_is_written_by_its_kind(name: str, value: float, expected: str) -> None:
    assert figure(name, value) == expected


def test_a_label_is_the_name_in_words() -> None:
    assert (label("f1"), label("calibration_error")) == ("mean F1", "calibration error")
