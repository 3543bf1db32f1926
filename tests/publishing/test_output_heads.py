"""What a classifier's numbers are, and what is served of them: the probabilities are the model's own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from obstore.store import MemoryStore
from onnx import TensorProto, helper

from onnxlet import explain
from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.observe import capture
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import pass_gate, with_activation
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import AUTO, Finding, decide, find_output, with_output
from onnxlet_publishing.publish import publish
from onnxlet_publishing.quality import check_activations
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


@pytest.mark.parametrize("model", PROBABILITIES.values(), ids=PROBABILITIES)
def test_numbers_that_sum_to_1_are_served_as_they_are(model: OnnxFile) -> None:
    assert found(model).activation == "none"
    assert "sum to 1, probabilities" in found(model).reason
    np.testing.assert_allclose(served(labelled(model)), Graph(model.data).run({"x": ROWS}, "y"), atol=1e-6)


@pytest.mark.parametrize("model", INDEPENDENT.values(), ids=INDEPENDENT)
def test_independent_probabilities_are_served_as_they_are(model: OnnxFile) -> None:
    assert found(model).activation == "none"
    assert "independent probabilities (sigmoid)" in found(model).reason
    np.testing.assert_allclose(served(labelled(model)), Graph(model.data).run({"x": ROWS}, "y"), atol=1e-6)


@pytest.mark.parametrize("model", LOGITS.values(), ids=LOGITS)
def test_other_numbers_go_through_a_softmax(model: OnnxFile) -> None:
    assert found(model).activation == "softmax"
    assert "outside 0 to 1, which are logits" in found(model).reason
    np.testing.assert_allclose(served(labelled(model)), softmax(Graph(model.data).run({"x": ROWS}, "y")), atol=1e-6)


def test_a_softmax_inside_a_function_is_found_by_running_it() -> None:
    opset = helper.make_opsetid("", 18)
    function = helper.make_function("pkg", "head", ["a"], ["b"], [node("Softmax", ["a"], ["b"])], [opset])
    proto = graphs.model(
        [node("MatMul", ["x", "w"], ["z"]), node("head", ["z"], ["y"], domain="pkg")],
        [("x", FLOAT, ["batch", 4])],
        [("y", FLOAT, ["batch", 3])],
        {"w": WEIGHTS},
    )
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("pkg", 1))
    assert found(graphs.to_file(proto)).activation == "none"


def test_at_least_32_rows_decide() -> None:
    assert "40 of 40 sample rows" in found(PROBABILITIES["softmax"]).reason


def test_eight_bits_and_a_thousand_classes_are_probabilities_too() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 1000)).astype(np.float32) / 10
    model = head(*quantized("Softmax"), weights=weights, **STEP)
    finding = found(model, tuple(map(str, range(1000))))
    assert finding.activation == "none"
    assert "sum to 1" in finding.reason


@pytest.mark.parametrize(("element", "tolerance"), [(DOUBLE, 1e-7), (HALF, 1e-6)])
def test_numbers_of_other_precision_are_taken(element: int, tolerance: float) -> None:
    for last, expected in (("Identity", "softmax"), ("Softmax", "none")):
        model = head(node("Cast", ["z"], ["c"], to=element), node(last, ["c"], ["y"]), element=element)
        assert found(model).activation == expected
        kind = np.float64 if element == DOUBLE else np.float16
        own = (ROWS @ WEIGHTS).astype(kind)
        expected_numbers = softmax(own) if last == "Identity" else served(labelled(model, activation="none"))
        np.testing.assert_allclose(served(labelled(model)), expected_numbers, atol=tolerance)


def test_double_precision_is_rounded_only_after_the_softmax() -> None:
    large = head(
        node("Cast", ["z"], ["c"], to=DOUBLE), node("Add", ["c", "far"], ["y"]), element=DOUBLE, far=np.array(1e9)
    )
    np.testing.assert_allclose(served(labelled(large)), softmax(ROWS @ WEIGHTS), atol=1e-5)


@pytest.mark.parametrize("shape", [["batch", 1], ["batch"]])
@pytest.mark.parametrize(("last", "expected"), [("Sigmoid", "none"), ("Identity", "sigmoid")])
def test_one_number_for_two_labels_is_the_second_ones(shape: list[int | str], last: str, expected: str) -> None:
    proto = graphs.model(
        [
            node("MatMul", ["x", "w"], ["z"]),
            node(last, ["z"], ["s"]),
            node("Reshape", ["s", "to"], ["y"]),
        ],
        [("x", FLOAT, ["batch", 4])],
        [("y", FLOAT, shape)],
        {"w": WEIGHTS[:, :1], "to": np.array([-1, 1][: len(shape)], np.int64)},
    )
    model = graphs.to_file(proto)
    assert found(model, ("no", "yes")).activation == expected
    second = 1 / (1 + np.exp(-(ROWS @ WEIGHTS[:, 0]).astype(np.float64)))
    np.testing.assert_allclose(served(labelled(model, ("no", "yes"))), np.stack([1 - second, second], 1), atol=1e-6)
    with pytest.raises(ModelError, match="use sigmoid"):
        publish(Registry(Store("memory://x", MemoryStore())), labelled(model, ("no", "yes"), "softmax"))


def test_a_sigmoid_is_applied_where_the_user_says_so() -> None:
    expected = 1 / (1 + np.exp(-(ROWS @ WEIGHTS).astype(np.float64)))
    np.testing.assert_allclose(served(labelled(LOGITS["plain"], activation="sigmoid")), expected, atol=1e-6)


@pytest.mark.parametrize(("declared", "contradicts"), [("none", False), ("softmax", True), ("sigmoid", True)])
def test_a_declared_activation_is_followed_and_contradicted(declared: str, contradicts: bool) -> None:
    passed = pass_gate(labelled(PROBABILITIES["softmax"], activation=declared))
    assert passed.finding is not None
    assert passed.candidate.classification is not None
    assert passed.candidate.classification.activation == declared
    assert passed.finding.contradicts(passed.candidate.classification) is contradicts
    assert ("although" in passed.finding.describe(passed.candidate.classification)) is contradicts
    if contradicts:
        with pytest.raises(ModelError, match=f"expected the activation none, got {declared}"):
            check_activations([passed])
    else:
        check_activations([passed])


def test_a_recipe_that_declares_probabilities_where_there_are_scores_is_refused() -> None:
    with pytest.raises(ModelError, match=r"expected the activation softmax, got none: .* logits"):
        check_activations([pass_gate(labelled(LOGITS["plain"], activation="none"))])


def test_a_variant_that_answers_in_another_way_is_refused() -> None:
    same = {"student": PROBABILITIES["decomposed"].data}
    decided, _ = with_activation(replace(labelled(PROBABILITIES["softmax"]), variants=same))
    assert decided.classification == Classification(LABELS, "none")
    other = {"student": LOGITS["plain"].data}
    with pytest.raises(ModelError, match="student needs the activation softmax, but fp32 needs none"):
        with_activation(replace(labelled(PROBABILITIES["softmax"]), variants=other))


def test_a_softmax_over_the_wrong_axis_is_warned_of() -> None:
    warning = found(head(node("Softmax", ["z"], ["y"], axis=0))).warning
    assert warning is not None
    assert "depend on the other rows of its batch" in warning
    assert all(found(model).warning is None for model in (*PROBABILITIES.values(), *LOGITS.values()))


@pytest.mark.parametrize(("last", "expected"), [("Softmax", "none"), ("Identity", "softmax")])
def test_what_cannot_run_is_assumed_as_the_graph_ends_and_said_so(last: str, expected: str) -> None:
    nowhere = (node("Mul", ["z", "nan"], ["n"]), node(last, ["n"], ["y"]))
    finding = found(head(*nowhere, nan=np.array(np.nan, np.float32)))
    assert (finding.activation, finding.is_sure) == (expected, False)
    assert "assumed, because the graph ends in" in finding.reason
    assert not finding.contradicts(Classification(LABELS, "softmax"))


def test_numbers_that_are_always_zero_say_nothing() -> None:
    finding = found(head(node("Mul", ["z", "zero"], ["y"]), zero=np.array(0, np.float32)))
    assert (finding.activation, finding.is_sure) == ("softmax", False)


def test_a_table_of_known_words_is_asked_with_these_words() -> None:
    """Unknown words fail: without the graph's own, nothing would be found out."""
    words = ["red", "green", "blue"]
    proto = graphs.model(
        [
            node("OneHotEncoder", ["x"], ["e"], domain="ai.onnx.ml", cats_strings=words, zeros=0),
            node("MatMul", ["e", "w"], ["z"]),
            node("Reshape", ["z", "to"], ["r"]),
            node("Softmax", ["r"], ["y"]),
        ],
        [("x", TensorProto.STRING, ["batch", 1])],
        [("y", FLOAT, ["batch", 3])],
        {"w": WEIGHTS[:3], "to": np.array([-1, 3], np.int64)},
    )
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    finding = found(graphs.to_file(proto))
    assert (finding.activation, finding.is_sure) == ("none", True)


@pytest.mark.parametrize(("factor", "is_sure"), [(1, True), (0, False)])
def test_a_model_that_ends_the_process_ends_only_a_childs(factor: int, is_sure: bool) -> None:
    """The least integer divided by -1 raises SIGFPE: for the row 0, or for each row."""
    proto = graphs.model(
        [
            node("Mul", ["x", "factor"], ["m"]),
            node("Sub", ["m", "one"], ["s"]),
            node("Div", ["least", "s"], ["d"]),
            node("Cast", ["d"], ["f"], to=FLOAT),
            node("MatMul", ["f", "w"], ["z"]),
            node("Softmax", ["z"], ["y"]),
        ],
        [("x", TensorProto.INT32, ["batch", 1])],
        [("y", FLOAT, ["batch", 3])],
        {"w": WEIGHTS[:1], **{name: np.array(value, np.int32) for name, value in
                              (("one", 1), ("least", -(2**31)), ("factor", factor))}},
    )  # fmt: skip
    finding = found(graphs.to_file(proto))
    assert (finding.activation, finding.is_sure) == ("none", is_sure)
    assert ("it ends the process, with signal 8" in finding.reason) is not is_sure


def test_pictures_decide_where_only_pictures_give_numbers() -> None:
    """The square root of what is below 0 is not a number: of the made-up tensors, few rows are left."""
    model = head(node("Sqrt", ["x"], ["r"]), node("MatMul", ["r", "w"], ["v"]), node("Softmax", ["v"], ["y"]))
    proto = onnx.load_from_string(model.data)
    proto.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, ["batch", 2, 2, 1]))
    proto.graph.node[0].CopyFrom(node("Flatten", ["x"], ["flat"]))
    proto.graph.node[1].input[0] = "flat"
    finding = decide(graphs.to_file(proto), Classification(LABELS, AUTO), ImagePreprocess(2, 2, 1))
    assert (finding.activation, finding.is_sure) == ("none", True)
    assert "40 of 40 sample rows" in finding.reason


def test_a_fixed_batch_and_free_sizes_are_run() -> None:
    proto = graphs.model(
        [
            node("Conv", ["x", "k"], ["c"]),
            node("GlobalAveragePool", ["c"], ["p"]),
            node("Flatten", ["p"], ["f"]),
            node("Softmax", ["f"], ["y"]),
        ],
        [("x", FLOAT, [2, 3, "height", "width"])],
        [("y", FLOAT, [2, 3])],
        {"k": np.random.default_rng(0).normal(size=(3, 3, 7, 7)).astype(np.float32)},
    )
    finding = found(graphs.to_file(proto))
    assert (finding.activation, finding.is_sure) == ("none", True)


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


def test_the_output_that_fits_the_labels_is_taken_not_the_first() -> None:
    candidate = labelled(graphs.to_file(trees()))
    assert candidate.classification == Classification(LABELS, AUTO, "probabilities")
    np.testing.assert_allclose(served(candidate, TABLE), OWN, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "labels"),
    [(graphs.to_file(trees()), LABELS), (head(node("Sigmoid", ["z"], ["y"]), weights=WEIGHTS[:, :1]), ("no", "yes"))],
)
def test_explanations_and_captures_have_the_same_probabilities(model: OnnxFile, labels: tuple[str, ...]) -> None:
    candidate = labelled(model, labels)
    (expected,), ready = served(candidate, TABLE[:1]), loaded(candidate)
    ready.warm_up()
    body = json.dumps(TABLE[:1].tolist()).encode()
    asked = explain.parse_explain(Reader(ready.manifest), {"target": labels[1]}, "application/json", body)
    assert explain.explain(ready, asked).probability == pytest.approx(expected[1])
    batches = [ready.prepare(rows) for rows in payloads.decode(Reader(ready.manifest), "application/json", body)]
    results = Store("memory://results", MemoryStore())
    capture.write(results, ready, batches, ready.run_all(batches))
    (row,) = json.loads(results.read(next(results.keys("capture"))).data)["rows"]
    assert row["confidence"] == pytest.approx(max(expected))


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (["sc", "sa", "sb"], ("c", "a", "b")),
        (["i0", "i1", "i2"], ("0", "1", "2")),
        (["first", "second", "third"], LABELS),
    ],
)
def test_columns_are_joined_in_the_order_of_the_labels(columns: list[str], labels: tuple[str, ...]) -> None:
    model = graphs.to_file(trees(columns=columns))
    np.testing.assert_allclose(served(labelled(model, labels), TABLE), OWN, atol=1e-6)


def test_columns_follow_the_names_that_the_labels_have() -> None:
    model = graphs.to_file(trees(columns=["sa", "sb", "sc"]))
    np.testing.assert_allclose(served(labelled(model, ("c", "a", "b")), TABLE), OWN[:, [2, 0, 1]], atol=1e-6)


def test_tensors_keep_their_own_numbers_and_names() -> None:
    model = graphs.to_file(trees(columns=["sa", "sb", "sc"]))
    joined, classification = with_output(model, LABELS, AUTO, "test")
    assert joined.outputs[:4] == model.outputs
    assert classification.output == joined.outputs[4].name


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d")])
def test_labels_that_no_output_fits_are_refused_with_the_outputs(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=rf'no output fits {len(labels)} labels.*"label" BYTES \(batch,\), "prob'):
        with_output(graphs.to_file(trees()), labels, AUTO, "trees.onnx")


def test_an_open_number_of_classes_is_held_to_what_the_model_gives() -> None:
    proto = graphs.model([node("Softmax", ["x"], ["y"])], [("x", FLOAT, ["b", 3])], [("y", FLOAT, ["b", "classes"])])
    model = graphs.to_file(proto)
    assert find_output(model.outputs, 2) == model.outputs[0]
    assert served(labelled(model), ROWS[:, :3]).shape == (4, 3)
    with pytest.raises(ModelError, match="expected 2 numbers in a row, got the shape"):
        pass_gate(labelled(model, ("a", "b")))
