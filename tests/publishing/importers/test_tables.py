"""Tasks of tables that only the user's options declare."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Overrides
from tests.helpers import graphs


def task_of(folder: Path, model: onnx.ModelProto, **overrides: Any) -> Any:
    onnx.save(model, folder / "m.onnx")
    (source,) = find(str(folder / "m.onnx"))
    return read(source, overrides=Overrides(task="tabular-regression", **overrides)).candidate.task


def wide(*inputs: tuple[str, list[int | str] | None]) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", [inputs[0][0]], ["y"])]
    return graphs.model(
        nodes,
        [(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [("y", TensorProto.FLOAT, None)],
    )


def columns(task: Any) -> list[tuple[str, str]]:
    return [(column.name, column.input) for column in task.columns]


def test_columns_have_the_names_of_their_inputs_or_numbers(tmp_path: Path) -> None:
    assert columns(task_of(tmp_path, graphs.columns())) == [(name, name) for name in ("age", "height", "name")]
    assert columns(task_of(tmp_path, wide(("x", ["n", 2])))) == [("x0", "x"), ("x1", "x")]
    assert columns(task_of(tmp_path, wide(("a", ["n", 2]), ("b", ["n", 1]), ("c", ["n"])))) == [
        ("a0", "a"),
        ("a1", "a"),
        ("b", "b"),
        ("c", "c"),
    ]


@pytest.mark.parametrize("text", ["width\nheight\n", "width,height\n", '["width", "height"]', '\ufeff"width","height"'])
def test_a_file_may_name_the_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "columns").write_text(text)
    task = task_of(tmp_path, wide(("x", ["n", 2])), columns=str(tmp_path / "columns"))
    assert columns(task) == [("width", "x"), ("height", "x")]


@pytest.mark.parametrize("names", ["width", "a,b,c", "a,a", ""])
def test_names_of_another_number_are_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(UsageError, match="--columns: expected 2 different names, one for each column"):
        task_of(tmp_path, wide(("x", ["n", 2])), columns=names)
    with pytest.raises(UsageError, match="--columns: expected a JSON list"):
        task_of(tmp_path, wide(("x", ["n", 2])), columns='["a", ')


@pytest.mark.parametrize("shape", [None, ["n", "m"], ["n", 2, 2], []])
def test_an_input_that_is_no_column_is_refused(tmp_path: Path, shape: list[int | str] | None) -> None:
    with pytest.raises(ModelError, match=r'input "x": expected \(rows,\) or \(rows, columns\)'):
        task_of(tmp_path, wide(("x", shape)))


def test_a_classifier_needs_labels(tmp_path: Path) -> None:
    onnx.save(wide(("x", ["n", 2])), tmp_path / "m.onnx")
    (source,) = find(str(tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match="--labels: the task tabular-classification needs the names of its classes"):
        read(source, overrides=Overrides(task="tabular-classification"))
