import math
from pathlib import Path

import pytest

from onnxlet_publishing.errors import ModelError
from onnxlet_training import data
from onnxlet_training.export import export
from onnxlet_training.recipe import Options
from tests.helpers.fixed_network import Fixed, tiny


def largest_difference(folder: Path, scale: float, error: float) -> float:
    fitted = Fixed(1.0, error, scale)
    return export(fitted, data.load(tiny(fitted), Options(), folder), folder)[0].max_difference


@pytest.mark.parametrize(
    ("scale", "error"),
    [(1.0, 5e-5), (1.0, -9e-5), (150.0, 0.047), (1e6, 100.0), (1e-6, 5e-5)],
)
def test_rounding_grows_with_the_numbers(tmp_path: Path, scale: float, error: float) -> None:
    assert largest_difference(tmp_path, scale, error) < 5e-4


@pytest.mark.parametrize(
    ("scale", "error"),
    [(1.0, 2e-4), (1.0, -2e-4), (150.0, 0.5), (1e6, 1000.0), (1.0, math.nan), (1.0, math.inf), (1e6, -math.inf)],
)
def test_a_graph_that_is_not_the_network_is_refused(tmp_path: Path, scale: float, error: float) -> None:
    with pytest.raises(ModelError, match=r"model.onnx: output: expected answers within .* of the network's"):
        largest_difference(tmp_path, scale, error)
