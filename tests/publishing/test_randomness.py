import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.models.loading import load
from onnxlet.registry.registry import Registry
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def noisy(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    shape: list[int | str] = ["batch", 4]
    inputs: list[graphs.Value] = [("x", TensorProto.FLOAT, shape)]
    outputs: list[graphs.Value] = [("sure", TensorProto.FLOAT, shape), ("drawn", TensorProto.FLOAT, shape)]
    weights = {"ratio": np.array(0.5, np.float32), "on": np.array(True), "off": np.array(False)}
    return graphs.model([helper.make_node("Neg", ["x"], ["sure"]), *nodes], inputs, outputs, weights)


RANDOM: dict[str, tuple[list[onnx.NodeProto], tuple[str, ...]]] = {
    "noise": (
        [helper.make_node("RandomNormalLike", ["x"], ["z"]), helper.make_node("Add", ["x", "z"], ["drawn"])],
        ("drawn",),
    ),
    "too little to be seen": (
        [
            helper.make_node("RandomNormalLike", ["x"], ["z"], scale=1e-9, seed=1.0),
            helper.make_node("Add", ["x", "z"], ["drawn"]),
        ],
        ("drawn",),
    ),
    "dropout in training": ([helper.make_node("Dropout", ["x", "ratio", "on"], ["drawn"])], ("drawn",)),
    "dropout": ([helper.make_node("Dropout", ["x", "ratio", "off"], ["drawn"])], ()),
    "dropout by default": ([helper.make_node("Dropout", ["x"], ["drawn"])], ()),
}


@pytest.mark.parametrize("case", RANDOM)
def test_outputs_that_the_model_draws_numbers_for_are_not_compared(registry: Registry, case: str) -> None:
    nodes, drawn = RANDOM[case]
    manifest = publish(registry, graphs.candidate("noisy", noisy(*nodes)))
    golden = registry.golden(manifest)
    assert golden is not None
    assert golden.random == drawn
    assert golden.compared == [name for name in ("sure", "drawn") if name not in drawn]
    model = load(registry, manifest, threads=1)
    assert [model.difference(golden) for _ in range(3)] == [0.0] * 3
