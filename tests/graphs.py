"""Small ONNX models, and candidates made of them, for the tests."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.manifest import Classification, ImagePreprocess
from training.onnx_file import OnnxFile, read_onnx
from training.publish import Candidate

SIDE_PIXELS = 28
CLASSES = 10


def classifier(seed: int = 0) -> onnx.ModelProto:
    """Grey images to ten probabilities, with random weights; another seed answers differently."""
    weights = np.random.default_rng(seed).normal(size=(SIDE_PIXELS**2, CLASSES)).astype(np.float32)
    return model(
        [
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["output"]),
        ],
        [("input", TensorProto.FLOAT, ["batch", SIDE_PIXELS, SIDE_PIXELS, 1])],
        [("output", TensorProto.FLOAT, ["batch", CLASSES])],
        {"weights": weights},
    )


def identity(element: int) -> onnx.ModelProto:
    """One tensor of ONNX's datatype `element`, of any length, given back."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [("x", element, ["n"])], [("y", element, ["n"])])


def any_rank() -> onnx.ModelProto:
    """One FP32 tensor, given back, of which the graph does not even say the rank."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [("x", TensorProto.FLOAT, None)], [("y", TensorProto.FLOAT, None)])


def gather() -> onnx.ModelProto:
    """Picks rows of a table of four: an index outside it fails inside ONNX Runtime."""
    nodes = [helper.make_node("Gather", ["table", "index"], ["row"])]
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    inputs = [("index", TensorProto.INT64, ["n"])]
    return model(nodes, inputs, [("row", TensorProto.FLOAT, ["n", 2])], {"table": table})


def two_inputs() -> onnx.ModelProto:
    """sum = a + b and difference = a - b, INT32 (batch, 2)."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    shape: list[int | str] = ["batch", 2]
    inputs = [(name, TensorProto.INT32, shape) for name in ("a", "b")]
    return model(nodes, inputs, [(name, TensorProto.INT32, shape) for name in ("sum", "difference")])


Value = tuple[str, int, Sequence[int | str] | None]


def model(
    nodes: list[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: dict[str, "np.ndarray"] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def to_file(proto: onnx.ModelProto) -> OnnxFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return read_onnx(path)


def candidate(name: str, proto: onnx.ModelProto) -> Candidate:
    return Candidate(name, to_file(proto), f"{name}.onnx")


def digits_candidate(seed: int = 0, name: str = "digits") -> Candidate:
    return Candidate(
        name=name,
        model=to_file(classifier(seed)),
        source="test",
        preprocess=ImagePreprocess(SIDE_PIXELS, SIDE_PIXELS, 1),
        classification=Classification(tuple("0123456789")),
        metrics={"accuracy": 0.1},
    )
