"""Small models of tables, for the tests."""

import numpy as np
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.tables import Column, TableTask
from onnxlet_publishing.candidate import Candidate
from tests.helpers import graphs


def task(name: str, inputs: dict[str, list[str]], label: str | None = None) -> TableTask:
    """A declaration by the names of the columns that feed each input."""
    columns = (Column(column, source) for source, names in inputs.items() for column in names)
    return TableTask(name, tuple(columns), label)


def sums_candidate(name: str = "sums", batch: str | int = "batch") -> Candidate:
    """A number for a row of three: a + 10 b + 100 c."""
    model = graphs.model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [("x", TensorProto.FLOAT, [batch, 3])],
        [("y", TensorProto.FLOAT, [batch, 1])],
        {"weights": np.array([[1], [10], [100]], np.float32)},
    )
    columns = task("tabular-regression", {"x": ["a", "b", "c"]})
    return Candidate(name, graphs.to_file(model), "test", task=columns)


def people_candidate(name: str = "people") -> Candidate:
    """Three columns of different datatypes, given back: a value for each output."""
    columns = task("tabular-regression", {"age": ["age"], "height": ["height"], "name": ["name"]})
    return Candidate(name, graphs.to_file(graphs.columns()), "test", task=columns)


def choices_candidate(name: str = "choices", label: str | None = "choice") -> Candidate:
    """Three probabilities of two numbers and their sum, and a choice of the class with the lowest one."""
    model = graphs.model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
            helper.make_node("ArgMin", ["probabilities"], ["place"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "place"], ["choice"]),
        ],
        [("x", TensorProto.FLOAT, ["batch", 2])],
        [("choice", TensorProto.STRING, ["batch"]), ("probabilities", TensorProto.FLOAT, ["batch", 3])],
        {
            "weights": np.array([[1, 0, 1], [0, 1, 1]], np.float32),
            "names": np.array(["first", "second", "sum"], object),
        },
    )
    return Candidate(
        name,
        graphs.to_file(model),
        "test",
        classification=Classification(("first", "second", "sum"), "none", "probabilities"),
        task=task("tabular-classification", {"x": ["one", "two"]}, label),
    )
