from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.picture_heads import find_activation, find_head
from tests.helpers.graphs import to_file

Shape = tuple[Any, ...]


def specs(*shapes: Shape) -> list[TensorSpec]:
    return [TensorSpec("abc"[index], DATATYPES["FP32"], shape) for index, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("shapes", "head", "names"),
    [
        ([("batch", 7, 8400)], "yolov8", ("a",)),
        ([(1, 25_200, 8)], "yolov5", ("a",)),
        ([(1, 300, 6)], "end-to-end", ("a",)),
        ([(1, 100, 4), (1, 100, 4)], "detr", ("a", "b")),
        ([(1, 100, 4), (1, 300, 3)], "rt-detr", ("b", "a")),
        ([(1, 10), (1, 300, 6)], "end-to-end", ("b",)),
    ],
    ids=str,
)
def test_a_detector_of_three_classes_is_known_by_its_shapes(shapes: list[Shape], head: str, names: Shape) -> None:
    assert find_head("object-detection", specs(*shapes), 3) == (head, names)


@pytest.mark.parametrize(
    ("shapes", "classes", "head", "names"),
    [
        ([(1, 150, 128, 128)], 150, "classes", ("a",)),
        ([("batch", 1, "h", "w")], 1, "mask", ("a",)),
        ([(1, 1, 512, 512)], 2, "mask", ("a",)),
        ([(1, 2, 512, 512)], 2, "classes", ("a",)),
        ([(1, 39, 8400), (1, 32, 160, 160)], 3, "yolov8", ("a", "b")),
        ([(1, 32, 160, 160), (1, 300, 38)], 3, "end-to-end", ("b", "a")),
    ],
    ids=str,
)
def test_a_segmenter_is_known_by_its_shapes(shapes: list[Shape], classes: int, head: str, names: Shape) -> None:
    assert find_head("image-segmentation", specs(*shapes), classes) == (head, names)


@pytest.mark.parametrize(
    ("task", "shapes"),
    [("object-detection", [(1, 9, 8400)]), ("image-segmentation", [(1, 4, 8, 8)]), ("image-segmentation", [(1, 10)])],
    ids=str,
)
def test_outputs_of_no_known_form_are_refused(task: str, shapes: list[Shape]) -> None:
    with pytest.raises(UsageError, match=f"--task {task}: expected outputs for 3 labels in a known form, got FP32"):
        find_head(task, specs(*shapes), 3)


def network(operator: str) -> onnx.ModelProto:
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1]), helper.make_node(operator, ["mean"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1, 8, 8])]
    graph = helper.make_graph(nodes, "network", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(("operator", "activation"), [("Sigmoid", "none"), ("Neg", "sigmoid"), ("Identity", "none")])
def test_an_activation_is_found_by_running_the_model(operator: str, activation: str) -> None:
    preprocess = ImagePreprocess(8, 8, 3, "NCHW")
    assert find_activation(to_file(network(operator)), preprocess, "y") == activation


def test_a_model_that_does_not_run_on_a_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="--preprocess: the model does not run on such a picture"):
        find_activation(to_file(network("Sigmoid")), ImagePreprocess(9, 9, 3, "NCHW"), "y")
