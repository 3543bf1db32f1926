"""Labels meet the output that fits them, in the order of the model's classes."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from onnxlet.contract.declarations import Classification
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Overrides
from onnxlet_publishing.output_heads import AUTO
from tests.helpers import graphs
from tests.helpers.heads import trees
from tests.publishing.test_graph_rewrites import zipmap


def write(folder: Path, proto: onnx.ModelProto, name: str = "m.onnx") -> Path:
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name


def candidate_of(file: Path, **overrides: Any) -> Candidate:
    (source,) = find(str(file))
    return read(source, overrides=Overrides(**overrides)).candidate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels"


def test_labels_in_another_order_than_the_graphs_own_are_refused(tmp_path: Path, path: Path) -> None:
    proto = zipmap(["no", "yes"], output="z")
    del proto.graph.output[0]
    model = write(tmp_path, proto)
    path.write_text("yes\nno\n")
    with pytest.raises(UsageError, match="in the order of the model's classes, no, yes, got yes, no"):
        candidate_of(model, labels=path)
    path.write_text("bad\ngood\n")
    candidate = candidate_of(model, labels=path, activation="none")
    assert candidate.classification == Classification(("bad", "good"), "none")


def test_a_classifiers_own_order_of_labels_is_kept_without_a_zipmap_too(tmp_path: Path, path: Path) -> None:
    model = write(tmp_path, trees())
    path.write_text("b\na\nc\n")
    with pytest.raises(UsageError, match="in the order of the model's classes, a, b, c, got b, a, c"):
        candidate_of(model, labels=path)
    for labels in ("a\nb\nc\n", "one\ntwo\nthree\n"):
        path.write_text(labels)
        assert candidate_of(model, labels=path).classification is not None
    columns = write(tmp_path, trees(["sa", "sb", "sc"]), "columns.onnx")
    path.write_text("b\na\nc\n")
    classification = candidate_of(columns, labels=path).classification
    assert classification == Classification(("b", "a", "c"), AUTO, "joined_columns")


def test_an_activation_needs_labels(tmp_path: Path) -> None:
    model = write(tmp_path, graphs.sums())
    with pytest.raises(UsageError, match="--activation: expected --labels FILE too"):
        candidate_of(model, activation="softmax")
