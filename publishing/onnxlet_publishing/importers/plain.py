"""The importer of plain ONNX files, about which nothing is known but what the graph says and the user declares."""

from onnxlet_publishing.importers.settings import Findings, Found, found_labels
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile


def recognise(_source: Source, model: OnnxFile) -> Findings:
    """Return the class names of a graph that has exactly one ZipMap; they are its labels."""
    if len(model.class_names) != 1:
        return Findings("an ONNX file")
    ((output, labels),) = model.class_names.items()
    if not labels:
        return Findings("an ONNX file")
    origin = "the graph's ZipMap"
    return Findings("an ONNX file", {"labels": found_labels(labels, origin), "output": Found(output, origin)})
