import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet_publishing.output_heads import AUTO, decide
from tests.helpers import graphs
from tests.helpers.heads import (
    FLOAT,
    LABELS,
    WEIGHTS,
    found,
    head,
    node,
)


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


def test_a_model_of_sounds_is_run_with_a_second_of_sound() -> None:
    proto = graphs.model(
        [
            node("Unsqueeze", ["x", "one"], ["u"]),
            node("Conv", ["u", "k"], ["c"], strides=[160]),
            node("GlobalAveragePool", ["c"], ["p"]),
            node("Flatten", ["p"], ["f"]),
            node("Softmax", ["f"], ["y"]),
        ],
        [("x", FLOAT, ["batch", "samples"])],
        [("y", FLOAT, ["batch", 3])],
        {"one": np.array([1]), "k": np.random.default_rng(0).normal(size=(3, 1, 400)).astype(np.float32)},
    )
    finding = found(graphs.to_file(proto))
    assert (finding.activation, finding.is_sure) == ("none", True)
