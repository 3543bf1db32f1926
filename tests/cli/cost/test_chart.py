from pathlib import Path

import pytest

from onnxlet_cli.cost.chart import draw
from onnxlet_cli.cost.compare import compare
from onnxlet_cli.cost.prices import load_prices
from onnxlet_cli.cost.workload import Workload


def test_a_comparison_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(compare(Workload(5.0, "given"), load_prices(), [1000], [512]), tmp_path / "cost.svg")
    assert (tmp_path / "cost.svg").read_text().startswith("<?xml")
