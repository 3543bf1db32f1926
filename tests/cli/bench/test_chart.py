from pathlib import Path

import pytest

from onnxlet_cli.bench import machine
from onnxlet_cli.bench.chart import axis_end, draw
from onnxlet_cli.bench.results import Panel
from onnxlet_cli.bench.series import Series


def test_a_bar_that_dwarfs_the_others_is_cut() -> None:
    assert axis_end([150.0, 229.0, 656.0]) == 656.0
    assert axis_end([150.0, 229.0, 656.0, 5132.0]) == 984.0
    assert axis_end([5.0]) == 5.0


def test_a_chart_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    bars = {"onnxlet": Series("a", (150.0,), "ms"), "naive": Series("b", (5132.0,), "ms")}
    draw([Panel(f"Cold start {number}", bars) for number in range(3)], machine.describe(), tmp_path / "chart.png")
    with image.open(tmp_path / "chart.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
