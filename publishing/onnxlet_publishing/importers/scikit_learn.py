"""The importer of models of tables: from scikit-learn, LightGBM, XGBoost, CatBoost and others, by their converters."""

import onnx

from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.importers.class_labels import find_label_output, find_labels
from onnxlet_publishing.importers.settings import Findings, Found, found_labels
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.importers.tables import names_of
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import FLOATS

PRODUCERS = {
    "skl2onnx": "scikit-learn",
    "OnnxMLTools": "LightGBM, XGBoost or another library of tables",
    "CatBoost": "CatBoost",
    "cuml": "cuML",
}
"""The library whose models each converter converts."""

DOMAIN = "ai.onnx.ml"
"""The domain of the operators that only models of tables have."""

RANKS = (1, 2)
"""Ranks of inputs that are columns of a table, or several columns."""

GRAPH = "the graph"


def recognise(_source: Source, model: OnnxFile) -> Findings | None:
    """Return the task, the class names and the outputs of a model of tables."""
    if model.producer not in PRODUCERS and DOMAIN not in model.domains:
        return None
    if not all(map(_is_columns, model.inputs)):
        return None
    library = PRODUCERS.get(model.producer, "a library of tables")
    if not all(model.class_names.values()):
        return Findings(f"a model of {library} that labels several things")
    labels, output = find_labels(model, onnx.load_from_string(model.data).graph)
    names = names_of(model.inputs)
    origin = "the inputs" if names == tuple(spec.name for spec in model.inputs) else "by their places"
    columns = found_labels(names, origin)
    is_text = [spec.datatype.name for spec in model.inputs] == ["BYTES"]
    if not labels or not _has_scores(model):
        task = Found("tabular-regression", "no class names")
        return Findings(f"a model of {library}", {"task": task, "columns": columns})
    settings = {"labels": found_labels(labels, GRAPH)}
    if output is not None:
        settings["output"] = Found(output, "the graph's ZipMap")
    if is_text:
        return Findings(f"a classifier of texts of {library}", settings)
    label = find_label_output(model)
    if label is not None:
        settings["label"] = Found((label.name, labels), GRAPH)
    return Findings(
        f"a classifier of {library}",
        {"task": Found("tabular-classification", "its class names"), **settings, "columns": columns},
    )


def _is_columns(spec: TensorSpec) -> bool:
    """Return whether an input has a known number of values for each row."""
    if (
        spec.shape is None
        or len(spec.shape) not in RANKS
        or isinstance((*spec.shape, 1)[1], str)
        or not (spec.datatype.has_json or spec.datatype.code)
    ):
        return False
    return isinstance(spec.shape[0], str) or spec.shape[0] == 1


def _has_scores(model: OnnxFile) -> bool:
    return any(spec.datatype.name in FLOATS for spec in model.outputs)
