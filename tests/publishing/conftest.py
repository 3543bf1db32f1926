"""A candidate and a registry for the tests of publishing."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import read_onnx


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """An image classifier: 4x4 grey pixels to three classes."""
    weights = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 4, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "classifier.onnx"
    onnx.save(model, path)
    labels = Classification(("a", "b", "c"), "softmax")
    return Candidate("classifier", read_onnx(path), path.name, ImagePreprocess(4, 4, 1), labels)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri(), create=True))
