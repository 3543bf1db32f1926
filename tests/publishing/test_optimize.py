from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxlet import session
from onnxlet.contract.artifact import ORT
from onnxlet.contract.golden import Golden
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.record import replace
from onnxlet_publishing.optimize import FIXED_BYTES, GraphForm, optimize
from tests.helpers import graphs

CHANNELS, SIDE = 64, 32


def convolution() -> onnx.ModelProto:
    """Layers of convolutions that are worth another layout."""
    random = np.random.default_rng(0)
    names = ["x", "a", "b", "y"]
    nodes = [
        helper.make_node("Conv", [source, f"w{index}"], [target], pads=[1, 1, 1, 1])
        for index, (source, target) in enumerate(pairwise(names))
    ]
    weights = {f"w{index}": random.normal(0, 0.05, (CHANNELS, CHANNELS, 3, 3)).astype("f4") for index in range(3)}
    shape: list[int | str] = ["n", CHANNELS, SIDE, SIDE]
    return graphs.model(nodes, [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, shape)], weights)


def golden_of(proto: onnx.ModelProto, output: str = "y") -> Golden:
    data = np.random.default_rng(1).random((1, CHANNELS, SIDE, SIDE), np.float32).tobytes()
    inputs = {"x": Tensor(DATATYPES["FP32"], (1, CHANNELS, SIDE, SIDE), memoryview(data))}
    (answer,) = session.open_session(proto.SerializeToString()).run(inputs, [output])
    return Golden(inputs, {output: answer})


def test_the_portable_form_is_for_this_version_of_the_runtime_and_any_cpu() -> None:
    (found,) = optimize(GraphForm("model", "fp32", graphs.classifier().SerializeToString()), None)
    artifact = found.artifact()
    assert (artifact.format, artifact.runtime, artifact.cpu) == (ORT, onnxruntime.__version__, None)
    session.open_session(found.data, is_ort=True)


def test_every_form_of_convolutions_gives_the_golden_answer() -> None:
    proto = convolution()
    golden = golden_of(proto)
    portable, *laid_out = optimize(GraphForm("model", "fp32", proto.SerializeToString()), golden)
    assert portable.cpu is None
    assert {graph.cpu for graph in laid_out} <= {session.cpu_class()}
    for graph in (portable, *laid_out):
        (answer,) = session.open_session(graph.data, is_ort=True).run(golden.inputs, ["y"])
        assert golden.difference({"y": answer}) < 1e-4


def test_without_a_golden_example_nothing_is_made_that_would_have_to_be_checked() -> None:
    found = optimize(GraphForm("model", "fp32", convolution().SerializeToString()), None)
    assert [graph.cpu for graph in found] == [None]


def test_a_form_that_answers_otherwise_is_left_out() -> None:
    proto = convolution()
    golden = golden_of(proto)
    wrong = Tensor(DATATYPES["FP32"], golden.outputs["y"].shape, memoryview(bytes(len(golden.outputs["y"].buffer))))
    assert optimize(GraphForm("model", "fp32", proto.SerializeToString()), replace(golden, outputs={"y": wrong})) == []


def test_constants_that_grow_when_they_are_folded_are_left_as_they_are() -> None:
    count = 2 * FIXED_BYTES
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["many"], value=value),
        helper.make_node("Add", ["x", "many"], ["y"]),
    ]
    proto = graphs.model(
        nodes,
        [("x", TensorProto.FLOAT, [count])],
        [("y", TensorProto.FLOAT, [count])],
        {"size": np.array([count], np.int64)},
    )
    assert optimize(GraphForm("model", "fp32", proto.SerializeToString()), None) == []


def test_what_the_runtime_cannot_optimize_is_left_as_it_is() -> None:
    assert optimize(GraphForm("model", "fp32", b"no graph"), None) == []


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_form_has_the_role_and_variant_of_its_graph(variant: str) -> None:
    (found,) = optimize(GraphForm("postprocess", variant, graphs.classifier().SerializeToString()), None)
    assert (found.role, found.variant) == ("postprocess", variant)
