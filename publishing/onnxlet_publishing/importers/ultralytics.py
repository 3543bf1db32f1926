"""The importer of Ultralytics' exports, whose metadata say what they are: YOLO and RT-DETR.

Source: Ultralytics, `engine/exporter.py` (the metadata), `data/augment.py` (the preprocessing); YOLOv5, `export.py`,
which writes the names and the stride only.
"""

import ast
from collections.abc import Mapping
from typing import Any

from onnxlet import record
from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_publishing.importers.settings import Findings, Found, found_labels
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile

PADDING = 114.0
"""The grey around a picture in a letterbox."""

TASKS = {"detect": "object-detection", "segment": "image-segmentation", "classify": "image-classification"}
"""Hugging Face's names of the tasks that are served; key points and turned boxes are answered as tensors."""

ORIGIN = "the file's metadata"

AS_PREDICT = "as Ultralytics' predict"

MAX_LITERAL_CHARACTERS = 1_000_000
"""Length of a Python literal in metadata that is read."""

LIMITS = {"threshold": 0.25, "overlap": 0.7, "at_most": 300}
SEGMENT_LIMITS = {"threshold": 0.25, "overlap": 0.7, "at_most": 100}
YOLOV5_LIMITS = {"threshold": 0.25, "overlap": 0.45, "at_most": 1000}
"""The defaults of `predict`, with fewer masks because of their memory, and of YOLOv5's `detect.py`."""


def recognise(source: Source, model: OnnxFile) -> Findings | None:
    """Return the settings that the metadata of Ultralytics say; None for another model."""
    del source
    labels = _names(model.metadata)
    if not labels or "stride" not in model.metadata or len(model.inputs) != 1:
        return None
    kind = model.metadata.get("task", "detect")
    sides = _sides(model)
    if kind not in TASKS or sides is None:
        return Findings(f"a model of Ultralytics for {kind}")
    task = {"task": Found(TASKS[kind], ORIGIN), "labels": found_labels(labels, ORIGIN)}
    if kind == "classify":
        preprocess = _cropped(*sides)
        own = {"output": Found(model.outputs[0].name, ORIGIN)}
    else:
        head = _head(model, kind, len(labels))
        if head is None:
            return Findings(f"a model of Ultralytics for {kind} with outputs of an unknown form")
        preprocess = _stretched(*sides) if head == "rt-detr-rows" else _letterboxed(*sides)
        own = _found_head(model, kind, head)
    if model.metadata.get("channels") == "1":
        preprocess = record.replace(preprocess, channels=1)
    described = f"{preprocess.width} x {preprocess.height}, {preprocess.fit}"
    settings = {**task, "preprocess": Found(preprocess, ORIGIN, described), **own}
    return Findings(f"a model of Ultralytics for {kind}", settings)


def _found_head(model: OnnxFile, kind: str, head: str) -> dict[str, Found]:
    count = 2 if kind == "segment" else 1
    output = tuple(spec.name for spec in model.outputs[:count])
    limits = YOLOV5_LIMITS if head == "yolov5" else SEGMENT_LIMITS if kind == "segment" else LIMITS
    return {
        "output": Found(output, ORIGIN),
        "head": Found(head, "the shape of the output", head),
        **{name: Found(value, AS_PREDICT) for name, value in limits.items()},
    }


def _head(model: OnnxFile, kind: str, classes: int) -> str | None:
    """Return the form of the outputs; None for an unknown form."""
    shape = model.outputs[0].shape or ()
    rest = 32 if kind == "segment" else 0
    if len(shape) != 3 or (kind == "segment" and len(model.outputs) < 2):
        return None
    if model.metadata.get("head") == "RTDETRDecoder":
        return "rt-detr-rows" if shape[2] == 6 else None
    arguments = _literal(model.metadata.get("args"), {})
    is_final = model.metadata.get("end2end") == "True" or (isinstance(arguments, dict) and arguments.get("nms"))
    if is_final or (shape[2] == 6 + rest and shape[1] != 4 + classes + rest):
        return "end-to-end"
    if shape[2] == 5 + classes + rest and "task" not in model.metadata:
        return "yolov5" if kind == "detect" else None
    return "yolov8" if isinstance(shape[1], str) or shape[1] == 4 + classes + rest else None


def _sides(model: OnnxFile) -> tuple[int, int] | None:
    """Return the height and the width of the input: those of its shape, or those of the export."""
    shape = model.inputs[0].shape or ()
    own = _literal(model.metadata.get("imgsz"), None)
    own = [own, own] if isinstance(own, int) else own
    found = [size for size in shape[2:] if isinstance(size, int)] if len(shape) == 4 else []
    sides = found if len(found) == 2 else own
    if not isinstance(sides, list) or len(sides) != 2 or not all(type(size) is int and size > 0 for size in sides):
        return None
    return sides[0], sides[1]


def _letterboxed(height: int, width: int) -> ImagePreprocess:
    """Return `LetterBox`, which resizes as OpenCV does."""
    return ImagePreprocess(height, width, 3, "NCHW", fit="letterbox", pad_value=PADDING, antialias=False)


def _stretched(height: int, width: int) -> ImagePreprocess:
    """Return `LetterBox` with `scale_fill`."""
    return ImagePreprocess(height, width, 3, "NCHW", antialias=False)


def _cropped(height: int, width: int) -> ImagePreprocess:
    """Return `classify_transforms`, which are torchvision's, and crop only to a square."""
    if height != width:
        return ImagePreprocess(height, width, 3, "NCHW")
    return ImagePreprocess(height, width, 3, "NCHW", fit="crop", shorter_side=height, margins="even")


def _names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the classes; empty if the metadata do not have one for each class."""
    names = _literal(metadata.get("names"), None)
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or sorted(names, key=str) != sorted(range(len(names)), key=str):
        return ()
    return tuple(str(names[index]) for index in range(len(names)))


def _literal(text: str | None, default: Any) -> Any:
    """Return the value of a Python literal; the default for another text."""
    if text is None or len(text) > MAX_LITERAL_CHARACTERS:
        return default
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return default
