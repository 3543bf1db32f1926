"""Pictures: the postprocess graph of each task of pictures, made from its declaration."""

from collections.abc import Sequence

from onnx import TensorProto

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.declaration import OUTPUT, VECTORS, Declaration
from onnxlet.contract.tasks.pictures import ImageFeatures, ImageSegmentation, ObjectDetection, PictureTask
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_builder import GraphBuilder, Shape
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import MAIN_VARIANT, GraphForm
from onnxlet_publishing.tasks.boxes import detection_graph
from onnxlet_publishing.tasks.masks import segmentation_graph

EPSILON = 1e-12
"""The smallest length by which a vector is divided, as in PyTorch's `normalize`."""

RANKS = {
    "yolov5": (3,),
    "yolov8": (3, 4),
    "end-to-end": (3, 4),
    "detr": (3, 3),
    "rt-detr": (3, 3),
    "rt-detr-rows": (3,),
    "classes": (4,),
    "mask": (4,),
}
"""The number of dimensions of each output, by the head; a detector has only the first one of a segmenter's."""


def build(task: Declaration, model: OnnxFile, preprocess: ImagePreprocess | None) -> list[GraphForm]:
    """Return the postprocess graph of a task.

    Raises:
        ModelError: The outputs are not those of the task, or nothing says how a picture becomes the model's input.
    """
    assert isinstance(task, PictureTask), "the caller has chosen the family"
    if preprocess is None:
        raise ModelError(f"{task.name}: expected the preprocessing of pictures (--preprocess FILE), got none")
    return [GraphForm("postprocess", MAIN_VARIANT, postprocess_graph(task, preprocess, model.outputs))]


def postprocess_graph(task: PictureTask, preprocess: ImagePreprocess, outputs: Sequence[TensorSpec]) -> bytes:
    """Return the graph from a model's outputs to the answer.

    Args:
        task: The task.
        preprocess: The steps that made the model's input of a picture.
        outputs: All outputs of the model.

    Raises:
        ModelError: The outputs are not those of the task.
    """
    by_name = {spec.name: spec for spec in outputs}
    missing = [name for name in task.output if name not in by_name]
    if missing:
        raise ModelError(f"{task.name}: expected an output {missing[0]!r}, got {', '.join(by_name)}")
    chosen = [by_name[name] for name in task.output]
    if isinstance(task, ImageFeatures):
        return vectors_graph(task, chosen[0])
    assert isinstance(task, ObjectDetection | ImageSegmentation), "there are no other tasks of pictures"
    for spec, rank in zip(chosen, RANKS[task.head], strict=False):
        if spec.shape is not None and len(spec.shape) != rank:
            raise ModelError(f"{task.name}: expected {rank} dimensions of the output {spec.name!r}, got {spec}")
    if isinstance(task, ObjectDetection):
        return detection_graph(task, preprocess, chosen)
    if preprocess.fit == "crop":
        raise ModelError(f"{task.name}: expected the whole picture (stretch, letterbox or pad), got the fit crop")
    return segmentation_graph(task, preprocess, chosen)


def vectors_graph(task: ImageFeatures, output: TensorSpec) -> bytes:
    """Return the graph from an output to one vector for each row, FP32.

    Args:
        task: The task.
        output: The output: (batch, d), or with `cls` and `mean` (batch, patches, d) or (batch, d, height, width).

    Raises:
        ModelError: The output has another number of dimensions.
    """
    rank = len(output.shape or ())
    if rank not in ({2} if task.pooling == "none" else {3, 4} if task.pooling == "mean" else {3}):
        raise ModelError(f"{task.name}: expected an output for the pooling {task.pooling!r}, got {output}")
    graph = GraphBuilder()
    vectors = graph.add("Cast", OUTPUT.format(0), to=TensorProto.FLOAT)
    if task.pooling == "cls":
        vectors = graph.add("Gather", vectors, graph.constant(0, "int64"), axis=1)
    elif task.pooling == "mean":
        axes = graph.integers(1) if rank == 3 else graph.integers(2, 3)
        vectors = graph.add("ReduceMean", vectors, axes, keepdims=0)
    if task.normalize:
        length = graph.add("ReduceL2", vectors, graph.integers(-1), keepdims=1)
        vectors = graph.add("Div", vectors, graph.add("Max", length, graph.constant([EPSILON])))
    graph.add("Identity", vectors, result=VECTORS)
    sizes: Shape = ["batch", *(f"size{axis}" for axis in range(1, rank))]
    inputs = {OUTPUT.format(0): (output.datatype.onnx, sizes)}
    return graph.to_bytes("postprocess", inputs, {VECTORS: (TensorProto.FLOAT, ["batch", "dimensions"])})
