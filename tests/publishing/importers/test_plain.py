"""Plain ONNX files: a ZipMap's class names are the only labels that a graph brings."""

import re
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.pictures import ImageSegmentation
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Overrides
from onnxlet_publishing.output_heads import AUTO
from tests.helpers import graphs
from tests.publishing.test_graph_rewrites import zipmap


def read_graph(folder: Path, proto: onnx.ModelProto) -> Candidate:
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    (source,) = find(str(folder / "m.onnx"))
    return read(source).candidate


def test_a_graphs_own_class_names_are_labels_where_the_user_gives_none(tmp_path: Path) -> None:
    candidate = read_graph(tmp_path, zipmap(["no", "yes"], output="z"))
    assert candidate.classification == Classification(("no", "yes"), AUTO, "z")


def test_two_models_of_dictionaries_get_no_labels_by_themselves(tmp_path: Path) -> None:
    proto = zipmap(["no", "yes"], output="z")
    second = helper.make_node("ZipMap", ["p"], ["other"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    proto.graph.node.append(second)
    proto.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    proto.graph.output[2].type.CopyFrom(proto.graph.output[1].type)
    candidate = read_graph(tmp_path, proto)
    assert candidate.classification is None
    assert len(candidate.model.outputs) == 3


@pytest.mark.parametrize(
    ("shape", "document"),
    [
        (["batch", 3, 48, 64], '{"height": 48, "width": 64, "channels": 3, "layout": "NCHW"}'),
        ([1, 28, 28, 1], '{"height": 28, "width": 28, "channels": 1, "layout": "NHWC"}'),
    ],
)
def test_a_task_of_pictures_is_told_which_file_it_needs(tmp_path: Path, shape: list[int | str], document: str) -> None:
    tensor = TensorProto.FLOAT
    proto = graphs.model([helper.make_node("Relu", ["x"], ["y"])], [("x", tensor, shape)], [("y", tensor, shape)])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    (source,) = find(str(tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match=f"--preprocess: .*{re.escape(document)}"):
        read(source, overrides=Overrides(task="image-segmentation"))


def test_the_form_and_the_activation_that_a_model_shows_are_printed(tmp_path: Path) -> None:
    tensor = TensorProto.FLOAT
    proto = graphs.model(
        [helper.make_node("Sigmoid", ["x"], ["y"])],
        [("x", tensor, ["batch", 1, 8, 8])],
        [("y", tensor, ["batch", 1, 8, 8])],
    )
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    (tmp_path / "labels.txt").write_text("sky\n")
    (tmp_path / "preprocess.json").write_text('{"height": 8, "width": 8, "channels": 1, "layout": "NCHW"}')
    (source,) = find(str(tmp_path / "m.onnx"))
    given = Overrides("image-segmentation", labels=tmp_path / "labels.txt", preprocess=tmp_path / "preprocess.json")
    assert read(source, overrides=given).lines == (
        "an ONNX file",
        "head: mask (the shapes of the outputs)",
        "activation: none (found by running the model on pictures; --activation)",
    )
    chosen = read(source, overrides=replace(given, activation="sigmoid"))
    assert chosen.lines == ("an ONNX file", "head: mask (the shapes of the outputs)")
    assert isinstance(chosen.candidate.task, ImageSegmentation)
    assert chosen.candidate.task.activation == "sigmoid"
