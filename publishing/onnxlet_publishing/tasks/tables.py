"""Graphs of tables. A model of a table takes the values of its columns as they are, so it needs no graph."""

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import GraphForm


def build(_task: Declaration, _model: OnnxFile, _preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return no graph."""
    return []
