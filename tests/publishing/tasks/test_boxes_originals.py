"""Detectors' graphs compared with the postprocessing of Ultralytics and transformers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ObjectDetection
from onnxlet_publishing.tasks.boxes import detection_graph
from tests.helpers import originals
from tests.helpers import picture_outputs as heads

SIDE = heads.SIDE
SIZES = [(480, 640), (1080, 333), (50, 99), (320, 320)]
LABELS = tuple("abcdefgh")
LETTERBOX = ImagePreprocess(SIDE, SIDE, 3, "NCHW", fit="letterbox", pad_value=114.0, antialias=False)


def detect(
    head: str, preprocess: ImagePreprocess, outputs: list[heads.Floats], size: tuple[int, int], threshold: float
) -> list[np.ndarray]:
    """Return the boxes, scores and classes that the graph finds."""
    task = ObjectDetection("object-detection", ("first", "second")[: len(outputs)], head, LABELS)
    graph = detection_graph(task, preprocess, heads.specs(outputs))
    return heads.run(graph, outputs, size, threshold=threshold)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("head", ["yolov8", "end-to-end"])
def test_objects_are_those_of_ultralytics(head: str, size: tuple[int, int], tmp_path: Path) -> None:
    nms = originals.ultralytics("utils.nms", tmp_path)
    ops = originals.ultralytics("utils.ops", tmp_path)
    import torch

    output = heads.yolov8(2100, len(LABELS)) if head == "yolov8" else heads.end_to_end(300, len(LABELS))
    (expected,) = nms.non_max_suppression(torch.tensor(output), 0.3, 0.7, max_det=300)
    expected[:, :4] = ops.scale_boxes((SIDE, SIDE), expected[:, :4], size)
    boxes, scores, classes = detect(head, LETTERBOX, [output], size, 0.3)
    assert len(boxes) > 100
    np.testing.assert_allclose(boxes, expected[:, :4].numpy(), atol=1e-3)
    np.testing.assert_array_equal(scores, expected[:, 4].numpy())
    np.testing.assert_array_equal(classes, expected[:, 5].numpy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("head", "processor", "classes"),
    [
        ("detr", "DetrImageProcessor", len(LABELS) + 1),
        ("detr", "YolosImageProcessor", len(LABELS) + 1),
        ("rt-detr", "RTDetrImageProcessor", len(LABELS)),
    ],
)
def test_objects_are_those_of_transformers(head: str, processor: str, classes: int, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="needs `make torch`")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    logits, unit = heads.detr(100, classes)
    outputs = SimpleNamespace(logits=torch.tensor(logits), pred_boxes=torch.tensor(unit))
    post_process = getattr(transformers, processor)().post_process_object_detection
    (expected,) = post_process(outputs, threshold=0.6, target_sizes=torch.tensor([size]))
    order = expected["scores"].argsort(descending=True)
    height, width = size
    inside = expected["boxes"][order].numpy().clip(0, [width, height, width, height])
    boxes, scores, labels = detect(head, ImagePreprocess(SIDE, SIDE, 3, "NCHW"), [logits, unit], size, 0.6)
    assert len(boxes) > 20
    np.testing.assert_allclose(boxes, inside, atol=1e-2)
    np.testing.assert_allclose(scores, expected["scores"][order].numpy(), atol=1e-6)
    np.testing.assert_array_equal(labels, expected["labels"][order].numpy())
