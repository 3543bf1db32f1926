"""The importer of plain ONNX files, about which nothing is known but what the graph says and the user declares."""

from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.importers.settings import Findings, Found, found_labels
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile

WHAT = "an ONNX file"
CHANNELS = (1, 3)
"""The channels of grey pictures and of coloured ones."""


def recognise(_source: Source, model: OnnxFile) -> Findings:
    """Return the class names of a graph that has exactly one ZipMap; they are its labels."""
    files = [file for spec in model.inputs if (file := _preprocess_file(spec)) is not None]
    advice = {"preprocess": files[0]} if files else {}
    settings = {}
    if len(model.class_names) == 1:
        ((output, labels),) = model.class_names.items()
        origin = "the graph's ZipMap"
        settings = {"labels": found_labels(labels, origin), "output": Found(output, origin)} if labels else {}
    return Findings(WHAT, settings, advice)


def _preprocess_file(spec: TensorSpec) -> str | None:
    """Return how to declare the pictures of an input; None if it does not take pictures of one size."""
    shape = spec.shape or ()
    if len(shape) != len(("row", "channels", "height", "width")):
        return None
    is_first = shape[1] in CHANNELS
    height, width = shape[2:] if is_first else shape[1:3]
    channels = shape[1] if is_first else shape[3]
    if channels not in CHANNELS or isinstance(height, str) or isinstance(width, str):
        return None
    layout = "NCHW" if is_first else "NHWC"
    document = f'{{"height": {height}, "width": {width}, "channels": {channels}, "layout": "{layout}"}}'
    return f"got no such option: write {document} to a file, with the mean and std of the training if there were some"
