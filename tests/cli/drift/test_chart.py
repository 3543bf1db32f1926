from pathlib import Path

import pytest

from onnxlet_cli.drift.chart import draw
from onnxlet_cli.drift.compare import MeasureDrift


def test_measures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drift = MeasureDrift("confidence", 0.3, 0.2, (0.5, 0.5), (0.1, 0.9), (0.5, 0.8))
    draw("digits version 1", [drift], tmp_path / "drift.svg")
    assert (tmp_path / "drift.svg").read_text().startswith("<?xml")
