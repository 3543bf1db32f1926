from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxlet_publishing.graphs import Graph
from onnxlet_training.compression.quantize import quantize
from tests.helpers import graphs

pytestmark = pytest.mark.training


def test_a_quantized_graph_is_smaller_and_answers_alike(tmp_path: Path) -> None:
    path, target = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    onnx.save(graphs.classifier(0), path)
    images = np.random.default_rng(0).random((64, 28, 28, 1)).astype(np.float32)
    quantize(path, "input", images, target)
    assert target.stat().st_size < 0.5 * path.stat().st_size
    exact, quantized = (Graph(file.read_bytes()).run({"input": images}, "output") for file in (path, target))
    assert quantized.dtype == np.float32
    assert np.abs(quantized - exact).mean() < 0.01
    assert (quantized.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.9
