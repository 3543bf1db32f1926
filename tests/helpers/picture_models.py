"""Small models of pictures whose answers a person can tell from the picture."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ImageFeatures, ImageSegmentation, ObjectDetection, PictureTask
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.gate import check
from tests.helpers.graphs import to_file
from tests.helpers.image_files import encode

SIDE = 32
"""The height and the width of the models' input."""

LETTERBOX = ImagePreprocess(SIDE, SIDE, 3, "NCHW", fit="letterbox")
ROWS = np.array([[8, 8, 24, 24, 0, 1], [0, 12, 16, 20, -0.25, 0]], np.float32)
"""The corners in the model's input, the score without the brightness of the input, and the class."""

DETECTION = ObjectDetection("object-detection", ("out",), "end-to-end", ("cat", "dog"), threshold=0.5)
SEGMENTATION = ImageSegmentation("image-segmentation", ("out",), "classes", ("red", "green", "blue"))
BRIGHTNESS = ImageSegmentation("image-segmentation", ("out",), "mask", ("bright",))
FEATURES = ImageFeatures("image-feature-extraction", ("out",), "mean", normalize=True)


def candidate(task: PictureTask, name: str = "pictures", preprocess: ImagePreprocess = LETTERBOX) -> Candidate:
    """Return a model for the task: a detector of two fixed boxes, or colours as classes, brightness or features."""
    proto = {DETECTION.name: _detector, FEATURES.name: _colours}.get(
        task.name, _brightness if getattr(task, "head", "") == "mask" else _colours
    )()
    return Candidate(name, to_file(proto), f"{name}.onnx", preprocess=preprocess, task=task)


def opened(task: PictureTask, preprocess: ImagePreprocess = LETTERBOX) -> Model:
    """Return the model for the task as a function loads it."""
    return check(candidate(task, preprocess=preprocess))


def answers(model: Model, *pictures: Image.Image, **parameters: Any) -> list[Any]:
    """Return the answer for each picture, which are PNG files of one request each."""
    rows = [
        row
        for picture in pictures
        for row in payloads.decode(Reader(model.manifest), "image/png", encode(picture)).rows
    ]
    return payloads.encode(model.predict(rows, model.parse_parameters(parameters)))


def _detector() -> onnx.ModelProto:
    """Return a model whose scores are the brightness of the picture."""
    column = np.zeros((1, 1, 6), np.float32)
    column[0, 0, 4] = 1
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "column"], ["scores"]),
        helper.make_node("Add", ["rows", "scores"], ["out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3]),
        "shape": np.array([-1, 1, 1]),
        "column": column,
        "rows": ROWS[None],
    }
    return _model(nodes, constants, ["batch", 2, 6])


def _colours() -> onnx.ModelProto:
    return _model([helper.make_node("Identity", ["x"], ["out"])], {}, ["batch", 3, SIDE, SIDE])


def _brightness() -> onnx.ModelProto:
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["out"], keepdims=1)]
    return _model(nodes, {"axes": np.array([1])}, ["batch", 1, SIDE, SIDE])


def _model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int | str]) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "pictures", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
