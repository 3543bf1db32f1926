"""What a classifier's numbers are, and what is served of them: the probabilities are the model's own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from obstore.store import MemoryStore
from onnx import helper

from onnxlet import explain
from onnxlet.contract.declarations import Classification
from onnxlet.observe import capture
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import pass_gate, with_activation
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import AUTO, find_output, with_output
from onnxlet_publishing.publish import publish
from onnxlet_publishing.quality import check_activations
from tests.helpers import graphs
from tests.helpers.heads import (
    DOUBLE,
    FLOAT,
    HALF,
    INDEPENDENT,
    LABELS,
    LOGITS,
    OWN,
    PROBABILITIES,
    ROWS,
    STEP,
    TABLE,
    WEIGHTS,
    found,
    head,
    labelled,
    loaded,
    node,
    quantized,
    served,
    softmax,
    trees,
)


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
    batches = [ready.prepare(rows) for rows in payloads.decode(Reader(ready.manifest), "application/json", body).rows]
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
