"""Classifiers with many kinds of output heads, and what the gate and a function make of them."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from obstore.store import MemoryStore
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import AUTO, Finding, decide, with_output
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

LABELS = ("a", "b", "c")
WEIGHTS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [-2, 1, 0.3, 4], [0, 0, 0, 0], [3, -5, 2, 1]], np.float32)
FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
node = helper.make_node
Nodes = Sequence[onnx.NodeProto]


def head(*nodes: onnx.NodeProto, weights: np.ndarray = WEIGHTS, element: int = FLOAT, **more: Any) -> OnnxFile:
    """FP32 (batch, 4) through a layer, "z", and these nodes to the output "y"."""
    outputs = [("y", element, ["batch", weights.shape[1]])]
    proto = graphs.model(
        [node("MatMul", ["x", "w"], ["z"]), *nodes],
        [("x", FLOAT, ["batch", 4])],
        outputs,
        {"w": weights, **more},
    )
    return graphs.to_file(proto)


def decompose() -> Nodes:
    return (
        node("ReduceMax", ["z", "last"], ["most"]),
        node("Sub", ["z", "most"], ["below"]),
        node("Exp", ["below"], ["powers"]),
        node("ReduceSum", ["powers", "last"], ["sum"]),
        node("Div", ["powers", "sum"], ["y"]),
    )


def quantized(last: str) -> Nodes:
    return (
        node(last, ["z"], ["s"]),
        node("QuantizeLinear", ["s", "step", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "step", "zero"], ["y"]),
    )


def half(last: str) -> Nodes:
    return node("Cast", ["z"], ["h"], to=HALF), node(last, ["h"], ["s"]), node("Cast", ["s"], ["y"], to=FLOAT)


STEP: dict[str, Any] = {"step": np.array(1 / 255, np.float32), "zero": np.array(0, np.uint8)}
LAST: dict[str, Any] = {"last": np.array([-1], np.int64)}

PROBABILITIES: dict[str, OnnxFile] = {
    "softmax": head(node("Softmax", ["z"], ["y"])),
    "identity": head(node("Softmax", ["z"], ["s"]), node("Identity", ["s"], ["y"])),
    "casts": head(*half("Softmax")),
    "reshape": head(node("Softmax", ["z"], ["s"]), node("Reshape", ["s", "to"], ["y"]), to=np.array([-1, 3], np.int64)),
    "decomposed": head(*decompose(), **LAST),
    "quantized": head(*quantized("Softmax"), **STEP),
    "clipped": head(node("Softmax", ["z"], ["s"]), node("Clip", ["s", "low", "high"], ["y"]),
                    low=np.array(0, np.float32), high=np.array(1, np.float32)),
}  # fmt: skip
INDEPENDENT: dict[str, OnnxFile] = {
    "sigmoid": head(node("Sigmoid", ["z"], ["y"])),
    "half": head(*half("Sigmoid")),
    "quantized": head(*quantized("Sigmoid"), **STEP),
    "hard": head(node("HardSigmoid", ["z"], ["y"])),
}
LOGITS: dict[str, OnnxFile] = {
    "plain": head(node("Identity", ["z"], ["y"])),
    "log_softmax": head(node("LogSoftmax", ["z"], ["y"])),
    "relu": head(node("Relu", ["z"], ["y"])),
    "softplus": head(node("Softplus", ["z"], ["y"])),
    "tanh": head(node("Tanh", ["z"], ["y"])),
    "small": head(node("Mul", ["z", "less"], ["y"]), less=np.array(1e-3, np.float32)),
    "softmax_within": head(node("Softmax", ["z"], ["s"]), node("MatMul", ["s", "v"], ["y"]), v=WEIGHTS[:3] * 3),
}


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def found(model: OnnxFile, labels: tuple[str, ...] = LABELS) -> Finding:
    return decide(model, Classification(labels, AUTO))


def loaded(candidate: Candidate) -> Model:
    registry = Registry(Store("memory://served", MemoryStore()))
    return load(registry, publish(registry, candidate), 1)


def served(candidate: Candidate, rows: np.ndarray = ROWS) -> np.ndarray:
    """What `/predict` answers to rows: probabilities in the order of the labels."""
    model = loaded(candidate)
    assert model.manifest.classification is not None
    answers = payloads.predict(model, "application/json", json.dumps(rows.tolist()).encode())
    by_label = [{entry["label"]: entry["probability"] for entry in answer["top"]} for answer in answers]
    for answer, probabilities in zip(answers, by_label, strict=True):
        assert answer["probability"] == max(probabilities.values()) == probabilities[answer["label"]]
    labels = model.manifest.classification.labels
    return np.array([[probabilities[label] for label in labels] for probabilities in by_label])


def labelled(model: OnnxFile, labels: tuple[str, ...] = LABELS, activation: str = AUTO) -> Candidate:
    model, classification = with_output(model, labels, activation, "test")
    return Candidate("test", model, "test", classification=classification)


def trees(columns: Sequence[str] = ()) -> onnx.ModelProto:
    """A tree ensemble as sklearn-onnx writes it: the label first, then probabilities, or a column for each class."""
    ensemble = node(
        "TreeEnsembleClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", classlabels_strings=LABELS,
        nodes_treeids=[0] * 5, nodes_nodeids=[0, 1, 2, 3, 4], nodes_featureids=[0, 0, 1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[0.5, 0.0, 1.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 3, 0, 0], nodes_falsenodeids=[2, 0, 4, 0, 0],
        class_treeids=[0] * 6, class_nodeids=[1, 1, 3, 3, 4, 4], class_ids=[0, 1, 1, 2, 2, 0],
        class_weights=[0.75, 0.25, 0.5, 0.5, 0.875, 0.125],
    )  # fmt: skip
    nodes = [ensemble]
    outputs: list[graphs.Value] = [("label", TensorProto.STRING, ["batch"])]
    for place, column in enumerate(columns):
        nodes.append(node("Slice", ["p", f"at{place}", f"at{place + 1}", "axis"], [f"c{place}"]))
        nodes.append(node("Reshape", [f"c{place}", "flat"], [column]))
        outputs.append((column, FLOAT, ["batch"]))
    if not columns:
        nodes.append(node("Identity", ["p"], ["probabilities"]))
        outputs.append(("probabilities", FLOAT, ["batch", 3]))
    weights = {f"at{place}": np.array([place], np.int64) for place in range(4)}
    weights |= {"axis": np.array([1], np.int64), "flat": np.array([-1], np.int64)}
    proto = graphs.model(nodes, [("x", FLOAT, ["batch", 4])], outputs, weights)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto


OWN = np.array([[0.75, 0.25, 0], [0, 0.5, 0.5], [0.125, 0, 0.875]])
TABLE = np.array([[0, 0, 0, 0], [1, 1, 0, 0], [1, 2, 0, 0]], np.float32)
