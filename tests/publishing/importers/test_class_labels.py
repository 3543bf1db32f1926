import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlet_publishing.importers.class_labels import find_label_output, find_labels
from onnxlet_publishing.onnx_file import from_model
from tests.helpers import graphs
from tests.helpers.graphs import Value

OUTPUTS: list[Value] = [("label", TensorProto.STRING, ["n"]), ("scores", TensorProto.FLOAT, ["n", 2])]
NAMES = numpy_helper.from_array(np.array(["no", "yes"], object), "names")


def labels_of(nodes: list[onnx.NodeProto], outputs: list[Value] = OUTPUTS) -> tuple[tuple[str, ...], str | None]:
    model = graphs.model(nodes, [("x", TensorProto.FLOAT, ["n", 2])], outputs)
    model.graph.initializer.append(NAMES)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    file = from_model("m.onnx", model)
    return find_labels(file, onnx.load_from_string(file.data).graph)


ARGMAX = helper.make_node("ArgMax", ["x"], ["place"], axis=1, keepdims=0)
SCORES = helper.make_node("Identity", ["x"], ["scores"])


def encoder(keys: list[int]) -> onnx.NodeProto:
    values = ["no", "yes"]
    return helper.make_node(
        "LabelEncoder", ["place"], ["label"], domain="ai.onnx.ml", keys_int64s=keys, values_strings=values
    )


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([helper.make_node("Gather", ["names", "place"], ["label"])], ("no", "yes")),
        (
            [
                helper.make_node("Gather", ["names", "place"], ["picked"]),
                helper.make_node("Identity", ["picked"], ["label"]),
            ],
            ("no", "yes"),
        ),
        (
            [
                helper.make_node("Constant", [], ["own"], value=NAMES),
                helper.make_node("Gather", ["own", "place"], ["label"]),
            ],
            ("no", "yes"),
        ),
        ([encoder([0, 1])], ("no", "yes")),
        ([encoder([1, 0])], ("yes", "no")),
        ([encoder([3, 4])], ()),
        ([helper.make_node("Cast", ["place"], ["label"], to=TensorProto.STRING)], ()),
    ],
)
def test_names_are_found_by_the_way_in_which_the_graph_makes_its_label(
    nodes: list[onnx.NodeProto], expected: tuple[str, ...]
) -> None:
    assert labels_of([ARGMAX, *nodes, SCORES]) == (expected, None)


def test_a_graph_without_a_label_has_no_names() -> None:
    assert labels_of([SCORES], OUTPUTS[1:]) == ((), None)
    assert find_label_output(graphs.to_file(graphs.sums())) is None
