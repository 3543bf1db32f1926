"""Small ONNX models, and candidates made of them, for the tests."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.generation import ImageGeneration, TextGeneration
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx

SIDE_PIXELS = 28
CLASSES = 10


Value = tuple[str, int, Sequence[int | str] | None]


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


def dies_on_zero() -> onnx.ModelProto:
    """The smallest INT64 divided by x - 1, which ends the process of ONNX Runtime 1.31 where x is 0."""
    nodes = [
        helper.make_node("Sub", ["x", "one"], ["less"]),
        helper.make_node("Div", ["smallest", "less"], ["y"], name="quotient"),
    ]
    weights = {"one": np.array([1], np.int64), "smallest": np.array([-(2**63)], np.int64)}
    return model(nodes, [("x", TensorProto.INT64, ["n"])], [("y", TensorProto.INT64, ["n"])], weights)


def noise() -> onnx.ModelProto:
    """Noise of the input's shape, FP32 (n,), and nothing else: no two answers are the same."""
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["y"])]
    return model(nodes, [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, ["n"])])


def loop() -> onnx.ModelProto:
    """Counts to n, INT64 (), one node at a time: for 10**12 it takes days."""
    body = helper.make_graph(
        [helper.make_node("Add", ["count", "one"], ["next"]), helper.make_node("Identity", ["goes_on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, []),
        ],
    )
    nodes = [helper.make_node("Loop", ["n", "", "zero"], ["total"], body=body)]
    weights = {"zero": np.array(0, np.int64), "one": np.array(1, np.int64)}
    return model(nodes, [("n", TensorProto.INT64, [])], [("total", TensorProto.INT64, [])], weights)


def counting(*, is_endless: bool) -> onnx.ModelProto:
    """Gives x back, FP32 (size), beside n: which is counted to, or given back as well."""
    proto = loop()
    if not is_endless:
        del proto.graph.node[:]
        proto.graph.node.append(helper.make_node("Identity", ["n"], ["total"]))
    proto.graph.node.append(helper.make_node("Identity", ["x"], ["y"]))
    proto.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["size"]))
    proto.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["size"]))
    return proto


def two_inputs() -> onnx.ModelProto:
    """sum = a + b and difference = a - b, INT32 (batch, 2)."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    shape: list[int | str] = ["batch", 2]
    inputs = [(name, TensorProto.INT32, shape) for name in ("a", "b")]
    return model(nodes, inputs, [(name, TensorProto.INT32, shape) for name in ("sum", "difference")])


VOCABULARY = "abc "


def char_step(encoding: str = "index", step: int = 1) -> onnx.ModelProto:
    """A recurrent step over `VOCABULARY`: the state counts the tokens, and the next in the alphabet scores highest.

    Args:
        encoding: How a token is given.
        step: Which is the next; another one answers differently.
    """
    size = len(VOCABULARY)
    transitions = np.roll(np.eye(size, dtype=np.float32), step, axis=1) * 3
    if encoding == "index":
        first = [helper.make_node("Gather", ["transitions", "token"], ["scores"])]
        token: Value = ("token", TensorProto.INT64, ["batch"])
    else:
        first = [helper.make_node("MatMul", ["token", "transitions"], ["scores"])]
        token = ("token", TensorProto.FLOAT, ["batch", size])
    state: list[int | str] = ["batch", 1]
    return model(
        [*first, helper.make_node("Add", ["state", "one"], ["next_state"])],
        [token, ("state", TensorProto.FLOAT, state)],
        [("scores", TensorProto.FLOAT, ["batch", size]), ("next_state", TensorProto.FLOAT, state)],
        {"transitions": transitions, "one": np.ones((1, 1), np.float32)},
    )


def char_candidate(encoding: str = "index", name: str = "char", step: int = 1) -> Candidate:
    declaration = TextGeneration(tuple(VOCABULARY), "token", encoding, "scores", {"state": "next_state"})
    return replace(candidate(name, char_step(encoding, step)), generation=declaration)


def generator(layout: str = "NHWC") -> onnx.ModelProto:
    """Eight random numbers to a grey image of 4 x 6 pixels in [0, 1]."""
    weights = np.random.default_rng(0).normal(size=(8, 24)).astype(np.float32)
    shape: list[int | str] = ["batch", 4, 6, 1] if layout == "NHWC" else ["batch", 1, 4, 6]
    return model(
        [
            helper.make_node("MatMul", ["latent", "weights"], ["flat"]),
            helper.make_node("Sigmoid", ["flat"], ["bounded"]),
            helper.make_node("Reshape", ["bounded", "shape"], ["images"]),
        ],
        [("latent", TensorProto.FLOAT, ["batch", 8])],
        [("images", TensorProto.FLOAT, shape)],
        {"weights": weights, "shape": np.array([-1, *shape[1:]], np.int64)},
    )


def generator_candidate(layout: str = "NHWC", name: str = "generator") -> Candidate:
    return replace(candidate(name, generator(layout)), generation=ImageGeneration("latent", "images", layout))


def sums() -> onnx.ModelProto:
    """total = the sum of each row of x, FP32 (batch, 3) -> (batch,)."""
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)]
    inputs: list[Value] = [("x", TensorProto.FLOAT, ["batch", 3])]
    return model(nodes, inputs, [("total", TensorProto.FLOAT, ["batch"])], {"axes": np.array([1], np.int64)})


def one_row() -> onnx.ModelProto:
    """total = the sum of x, FP32 (1, 3) -> (1,): a model that was exported with a batch of one."""
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)]
    inputs: list[Value] = [("x", TensorProto.FLOAT, [1, 3])]
    return model(nodes, inputs, [("total", TensorProto.FLOAT, [1])], {"axes": np.array([1], np.int64)})


def columns() -> onnx.ModelProto:
    """Three columns (batch, 1), as converters of tables write them: whole numbers and others, plus one, and texts."""
    nodes = [
        helper.make_node("Add", ["age", "year"], ["older"]),
        helper.make_node("Add", ["height", "metre"], ["taller"]),
        helper.make_node("Identity", ["name"], ["named"]),
    ]
    types = (TensorProto.INT64, TensorProto.FLOAT, TensorProto.STRING)
    shape: list[int | str] = ["batch", 1]
    inputs, outputs = (
        [(name, int(element), shape) for name, element in zip(names, types, strict=True)]
        for names in (("age", "height", "name"), ("older", "taller", "named"))
    )
    return model(nodes, inputs, outputs, {"year": np.array([1], np.int64), "metre": np.array([1], np.float32)})


def doubles() -> onnx.ModelProto:
    """What each number is, FP64 (batch, 3): 1 for NaN, 2 for an infinity, 4 for one, else 0."""
    tests = (("IsNaN", ["x"]), ("IsInf", ["x"]), ("Equal", ["x", "one"]))
    nodes = []
    for weight, (operator, operands) in zip((1.0, 2.0, 4.0), tests, strict=True):
        nodes += [
            helper.make_node(operator, operands, [f"is{weight}"]),
            helper.make_node("Cast", [f"is{weight}"], [f"number{weight}"], to=TensorProto.DOUBLE),
            helper.make_node("Mul", [f"number{weight}", f"weight{weight}"], [f"flag{weight}"]),
        ]
    nodes.append(helper.make_node("Sum", ["flag1.0", "flag2.0", "flag4.0"], ["y"]))
    weights = {f"weight{weight}": np.array(weight) for weight in (1.0, 2.0, 4.0)} | {"one": np.array(1.0)}
    shape: list[int | str] = ["batch", 3]
    return model(nodes, [("x", TensorProto.DOUBLE, shape)], [("y", TensorProto.DOUBLE, shape)], weights)


def halves_candidate(name: str = "halves") -> Candidate:
    """A classifier of numbers, FP32 (batch, 1): above and below zero, by a softmax of x and -x."""
    nodes = [
        helper.make_node("Neg", ["x"], ["other"]),
        helper.make_node("Concat", ["x", "other"], ["scores"], axis=1),
    ]
    proto = model(nodes, [("x", TensorProto.FLOAT, ["batch", 1])], [("scores", TensorProto.FLOAT, ["batch", 2])])
    return replace(candidate(name, proto), classification=Classification(("above", "below"), "softmax"))


def sequence_of_one() -> onnx.ModelProto:
    """A sequence that holds the input: an output that is no tensor."""
    nodes = [helper.make_node("SequenceConstruct", ["x"], ["y"])]
    value = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    proto = model(nodes, [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, ["n"])])
    proto.graph.output[0].CopyFrom(value)
    return proto


def model(
    nodes: list[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: dict[str, Any] | None = None,
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
