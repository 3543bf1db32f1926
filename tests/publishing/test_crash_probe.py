import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet_publishing.crash_probe import ProbeResult, probe
from onnxlet_publishing.onnx_file import OnnxFile
from tests.helpers import graphs

INT32, INT64, FLOAT = TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT


def probed(proto: onnx.ModelProto) -> ProbeResult:
    file: OnnxFile = graphs.to_file(proto)
    return probe(file.data, file.inputs, [spec.name for spec in file.outputs])


def division(operator: str, kind: int, shape: Sequence[int | str]) -> onnx.ModelProto:
    """z = -(-a / b): the division is in the middle."""
    nodes = [
        helper.make_node("Neg", ["a"], ["negative"]),
        helper.make_node(operator, ["negative", "b"], ["y"], name="the division"),
        helper.make_node("Neg", ["y"], ["z"]),
    ]
    return graphs.model(nodes, [("a", kind, shape), ("b", kind, shape)], [("z", kind, shape)])


def columns() -> onnx.ModelProto:
    """The quotient of the two columns of one input: no value alone ends it."""
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Div", ["a", "b"], ["y"]),
    ]
    return graphs.model(nodes, [("x", INT64, ["n", 2])], [("y", INT64, ["n", 1])])


def inside() -> onnx.ModelProto:
    """Floats become integers, which a function of the model divides by -1."""
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=INT64),
        helper.make_node("Divide", ["whole", "minus"], ["y"], domain="local"),
    ]
    weights = {"minus": np.array([-1], np.int64)}
    proto = graphs.model(nodes, [("x", FLOAT, ["n"])], [("y", INT64, ["n"])], weights)
    body = [helper.make_node("Div", ["p", "q"], ["r"])]
    opsets = [helper.make_opsetid("", 18)]
    proto.functions.append(helper.make_function("local", "Divide", ["p", "q"], ["r"], body, opsets))
    proto.opset_import.append(helper.make_opsetid("local", 1))
    return proto


def spectrum() -> onnx.ModelProto:
    nodes = [helper.make_node("STFT", ["signal", "step", "", "length"], ["y"])]
    inputs: list[graphs.Value] = [("signal", FLOAT, ["b", "n", 1]), ("step", INT64, []), ("length", INT64, [])]
    return graphs.model(nodes, inputs, [("y", FLOAT, ["b", "f", "k", 2])])


@pytest.mark.parametrize(
    ("proto", "operator", "node"),
    [
        (division("Div", INT64, ["n"]), "Div", "the division"),
        (division("Mod", INT32, [1]), "Mod", "the division"),
        (columns(), "Div", None),
        (inside(), "Div", None),
        (spectrum(), "STFT", None),
    ],
    ids=["Div", "Mod", "two columns", "in a function", "STFT"],
)
def test_what_ends_the_process_is_named(proto: onnx.ModelProto, operator: str, node: str | None) -> None:
    found = probed(proto)
    assert [(crash.operator, crash.node) for crash in found.crashes] == [(operator, node)]
    assert found.crashes[0].found.startswith("SIGFPE if ")
    assert found.inputs is not None, "ordinary inputs do it no harm"


def test_a_crash_in_a_branch_is_named_by_the_operator_that_holds_it() -> None:
    body = helper.make_graph(
        [helper.make_node("Div", ["a", "b"], ["inner"])],
        "then",
        [],
        [helper.make_tensor_value_info("inner", INT64, ["n"])],
    )
    nodes = [helper.make_node("If", ["always"], ["y"], then_branch=body, else_branch=body)]
    inputs: list[graphs.Value] = [("a", INT64, ["n"]), ("b", INT64, ["n"])]
    (crash,) = probed(graphs.model(nodes, inputs, [("y", INT64, ["n"])], {"always": np.array(True)})).crashes
    assert crash.operator == "If"
    assert crash.found.startswith("SIGFPE (in a graph with Div) if a is INT64 ")


def huge() -> onnx.ModelProto:
    """As many zeros as the client says: no memory is enough for all that it may say."""
    nodes = [helper.make_node("ConstantOfShape", ["sizes"], ["y"])]
    return graphs.model(nodes, [("sizes", INT64, [1])], [("y", FLOAT, ["n"])])


@pytest.mark.parametrize("proto", [graphs.classifier(), graphs.gather(), graphs.any_rank(), graphs.loop(), huge()])
def test_what_only_fails_takes_long_or_needs_memory_is_no_crash(proto: onnx.ModelProto) -> None:
    found = probed(proto)
    assert found.crashes == ()
    assert found.inputs is not None


def test_a_model_that_runs_on_nothing_has_no_ordinary_inputs() -> None:
    nodes = [helper.make_node("Gather", ["table", "index"], ["row"])]
    weights = {"table": np.zeros((0, 2), np.float32)}
    assert probed(graphs.model(nodes, [("index", INT64, ["n"])], [("row", FLOAT, ["n", 2])], weights)).inputs is None


def endless() -> onnx.ModelProto:
    """A loop that nothing ends."""
    inputs = [
        helper.make_tensor_value_info("step", INT64, []),
        helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("value", FLOAT, ["n"]),
    ]
    outputs = [
        helper.make_tensor_value_info("still", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", FLOAT, ["n"]),
    ]
    nodes = [helper.make_node("Identity", ["goes_on"], ["still"]), helper.make_node("Neg", ["value"], ["next"])]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    loop = [helper.make_node("Loop", ["", "on", "x"], ["y"], body=body)]
    return graphs.model(loop, [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])], {"on": np.array(True)})


def test_a_model_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlet_publishing.crash_probe.PATIENCE_S", 3.0)
    assert probed(endless()) == ProbeResult(None)


def sound(least: int) -> onnx.ModelProto:
    """The sums of windows of a sound, which is at least one window long."""
    nodes = [
        helper.make_node("Unsqueeze", ["sound", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "window"], ["y"], strides=[least]),
    ]
    weights = {"axis": np.array([1], np.int64), "window": np.ones((1, 1, least), np.float32)}
    return graphs.model(nodes, [("sound", FLOAT, ["batch", "samples"])], [("y", FLOAT, ["batch", 1, "n"])], weights)


@pytest.mark.parametrize(("least", "size"), [(3, 16), (512, 640), (8000, 16_000)])
def test_free_dimensions_grow_until_the_model_runs(least: int, size: int) -> None:
    inputs = probed(sound(least)).inputs
    assert inputs is not None
    assert inputs["sound"].shape == (1, size)


def test_a_child_leaves_no_core_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        probed(division("Div", INT64, [1]))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
