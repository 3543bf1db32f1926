"""The files that a user brings: labels in every form that people write them."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.plain import Declarations, find_files, read_candidate, read_labels
from onnxlet_publishing.output_heads import AUTO
from tests.helpers import graphs
from tests.helpers.heads import trees
from tests.publishing.test_graph_rewrites import zipmap

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"zero\none\n", ("zero", "one")),
        (b"zero\r\none", ("zero", "one")),
        (BOM + b"zero\none\n\n\n", ("zero", "one")),
        ("a\u2028b\nc\u0085d\ne\u000cf\ni\rj\n".encode(), ("a\u2028b", "c\u0085d", "e\u000cf", "i\rj")),
        (b'["zero", "one"]', ("zero", "one")),
        (BOM + b' ["zero", "one"]\n', ("zero", "one")),
        (b'{"1": "one", "0": "zero"}', ("zero", "one")),
        (b'{"model_type": "vit", "id2label": {"0": "zero", "1": "one"}}', ("zero", "one")),
        (json.dumps({place: f"l{place}" for place in range(11)}).encode(), tuple(f"l{place}" for place in range(11))),
        ("Größe\n日本\n".encode(), ("Größe", "日本")),
        (b"crane\ncrane\n", ("crane", "crane")),
    ],
)  # fmt: skip
def test_labels_are_read_as_people_write_them(path: Path, data: bytes, expected: tuple[str, ...]) -> None:
    path.write_bytes(data)
    assert read_labels(path) == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file has no labels"),
        (b"\n \n", "the file has no labels"),
        (b"[]", "the file has no labels"),
        (b"{}", "the file has no labels"),
        (b"zero\n\none\n", "label 1 of 0 to 2 is empty"),
        (b'["zero", " "]', "label 1 of 0 to 1 is empty"),
        (b'["zero", 1]', "not all labels are strings"),
        (b'{"0": "zero", "1": 1}', "not all labels are strings"),
        (b'{"0": "zero", "2": "two"}', "the class 1 of 0 to 1 is missing"),
        (b'{"zero": 0, "one": 1}', "the class 0 of 0 to 1 is missing"),
        (b'["zero",', "a JSON list"),
        ("zero\n".encode("utf-16"), "expected a label on each line"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(path: Path, data: bytes, words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError, match=words) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def write(folder: Path, proto: onnx.ModelProto, name: str = "m.onnx") -> Path:
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name


def test_a_graphs_own_class_names_are_labels_where_the_user_gives_none(tmp_path: Path) -> None:
    candidate = read_candidate(write(tmp_path, zipmap(["no", "yes"], output="z")))
    assert candidate.classification == Classification(("no", "yes"), AUTO, "z")


def test_labels_in_another_order_than_the_graphs_own_are_refused(tmp_path: Path, path: Path) -> None:
    proto = zipmap(["no", "yes"], output="z")
    del proto.graph.output[0]
    model = write(tmp_path, proto)
    path.write_text("yes\nno\n")
    with pytest.raises(UsageError, match="in the order of the model's classes, no, yes, got yes, no"):
        read_candidate(model, declarations=Declarations(labels=path))
    path.write_text("bad\ngood\n")
    candidate = read_candidate(model, declarations=Declarations(labels=path, activation="none"))
    assert candidate.classification == Classification(("bad", "good"), "none")


def test_a_classifiers_own_order_of_labels_is_kept_without_a_zipmap_too(tmp_path: Path, path: Path) -> None:
    model = write(tmp_path, trees())
    path.write_text("b\na\nc\n")
    with pytest.raises(UsageError, match="in the order of the model's classes, a, b, c, got b, a, c"):
        read_candidate(model, declarations=Declarations(labels=path))
    for labels in ("a\nb\nc\n", "one\ntwo\nthree\n"):
        path.write_text(labels)
        assert read_candidate(model, declarations=Declarations(labels=path)).classification is not None
    columns = write(tmp_path, trees(["sa", "sb", "sc"]), "columns.onnx")
    path.write_text("b\na\nc\n")
    classification = read_candidate(columns, declarations=Declarations(labels=path)).classification
    assert classification == Classification(("b", "a", "c"), AUTO, "joined_columns")


def test_an_activation_needs_labels(tmp_path: Path) -> None:
    model = write(tmp_path, graphs.sums())
    with pytest.raises(UsageError, match="--activation: expected --labels FILE too"):
        read_candidate(model, declarations=Declarations(activation="softmax"))


def test_two_models_of_dictionaries_get_no_labels_by_themselves(tmp_path: Path) -> None:
    proto = zipmap(["no", "yes"], output="z")
    second = helper.make_node("ZipMap", ["p"], ["other"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    proto.graph.node.append(second)
    proto.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    proto.graph.output[2].type.CopyFrom(proto.graph.output[1].type)
    candidate = read_candidate(write(tmp_path, proto))
    assert candidate.classification is None
    assert len(candidate.model.outputs) == 3


def test_a_folder_has_models_and_no_declarations(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UsageError, match="got none"):
        find_files(tmp_path, None)
    for name in ("b.onnx", "a.onnx"):
        write(tmp_path, graphs.sums(), name)
    assert [file.name for file in find_files(tmp_path, None)] == ["a.onnx", "b.onnx"]
    with pytest.raises(UsageError, match=r"expected one \.onnx file for a name or declarations"):
        find_files(tmp_path, "x")
    with pytest.raises(UsageError, match=r"expected one \.onnx file for a name or declarations"):
        find_files(tmp_path, None, Declarations(labels=path))
    with pytest.raises(UsageError, match="no such file or folder"):
        find_files(tmp_path / "nothing", None)
