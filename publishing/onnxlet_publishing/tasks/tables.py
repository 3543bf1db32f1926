"""Tables: a model takes the values of its columns as they are, without a graph; and rows to try a model with."""

from collections.abc import Iterator

import onnx
from onnx import numpy_helper

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.contract.tasks.tables import TableTask
from onnxlet_publishing.onnx_file import CATEGORIES, PASSED_THROUGH, OnnxFile
from onnxlet_publishing.optimize import GraphForm

Value = str | int | float

SAMPLES: dict[str, tuple[Value, ...]] = {
    "FP": (1.0, 0.5, 0.0),
    "INT": (1, 0, 2),
    "BYTES": ("a", "", "1"),
    "BOOL": (1, 0),
}
"""Values for a column whose values the graph does not list, by the beginning of its datatype."""

SAMPLE_ROWS = 3

SELECTS = ("ArrayFeatureExtractor", "Gather")
KEEPS = (*PASSED_THROUGH, "Imputer", "Scaler", "StringNormalizer", "Unsqueeze")
"""Operators that give a value for each of their columns."""


def build(_task: Declaration, _model: OnnxFile, _preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return no graph."""
    return []


def sample_rows(task: TableTask, model: OnnxFile) -> Iterator[dict[str, Value]]:
    """Yield rows by column that a model probably takes, with values that its graph lists."""
    datatypes = {spec.name: spec.datatype.name.removeprefix("U") for spec in model.inputs}
    listed = _listed_values(task, onnx.load_from_string(model.data).graph)
    for number in range(SAMPLE_ROWS):
        row = {}
        for place, column in enumerate(task.columns):
            datatype = datatypes[column.input]
            values = listed.get(place) or next(values for name, values in SAMPLES.items() if datatype.startswith(name))
            row[column.name] = values[number % len(values)]
        yield row


def _listed_values(task: TableTask, graph: onnx.GraphProto) -> dict[int, tuple[Value, ...]]:
    """Return the values that the graph's encoders list, by the place of the column that they encode."""
    places: dict[str, list[int]] = {}
    for place, column in enumerate(task.columns):
        places.setdefault(column.input, []).append(place)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    listed: dict[int, tuple[Value, ...]] = {}
    for node in graph.node:  # nodes come after those whose results they read
        own = _places_of(node, places, constants)
        if own is None:
            continue
        values = _values_of(node)
        if values and len(own) == 1:
            listed.setdefault(own[0], values)
        if node.op_type in {*KEEPS, *SELECTS, "Concat"}:
            places[node.output[0]] = own
    return listed


def _places_of(
    node: onnx.NodeProto, places: dict[str, list[int]], constants: dict[str, onnx.TensorProto]
) -> list[int] | None:
    """Return the columns that a node works on, in the order in which its input has them; None if they are unknown."""
    if node.op_type == "Concat":
        known = [places.get(name) for name in node.input]
        return [place for part in known for place in part or ()] if all(known) else None
    own = places.get(node.input[0]) if node.input else None
    if own is None or node.op_type not in SELECTS:
        return own
    chosen = constants.get(node.input[1])
    if chosen is None:
        return None
    numbers = numpy_helper.to_array(chosen).reshape(-1).tolist()
    return [own[number] for number in numbers] if all(0 <= number < len(own) for number in numbers) else None


def _values_of(node: onnx.NodeProto) -> tuple[Value, ...]:
    """Return the values that an encoder lists."""
    for attribute in node.attribute:
        if attribute.name in CATEGORIES:
            return (*(value.decode("utf-8", "replace") for value in attribute.strings), *attribute.ints)
    return ()
