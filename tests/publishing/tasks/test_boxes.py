import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ObjectDetection
from onnxlet_publishing.tasks.boxes import detection_graph
from tests.helpers import picture_outputs as heads

SIDE = heads.SIDE
OBJECTS = json.loads((Path(__file__).parent / "objects.json").read_text())
"""The objects that Ultralytics 8.4.190 and transformers 4.57.6 find in a picture of 90 x 200 (height x width)."""
OUTPUTS = {
    "yolov5": [heads.yolov5(60, 3)],
    "yolov8": [heads.yolov8(60, 3)],
    "end-to-end": [heads.end_to_end(20, 3)],
    "detr": [*heads.detr(20, 4)],
    "rt-detr": [*heads.detr(20, 3)],
}
LETTERBOX = ImagePreprocess(SIDE, SIDE, 3, "NCHW", fit="letterbox", pad_value=114.0)
STRETCH = ImagePreprocess(SIDE, SIDE, 3, "NCHW")


def detect(
    task: ObjectDetection, preprocess: ImagePreprocess, threshold: float, *outputs: heads.Floats
) -> list[np.ndarray]:
    graph = detection_graph(task, preprocess, heads.specs(outputs))
    return heads.run(graph, outputs, (90, 200), threshold=threshold)


def detector(head: str, **fields: Any) -> ObjectDetection:
    names = ("first", "second")[: len(OUTPUTS[head])]
    return ObjectDetection("object-detection", names, head, ("cat", "dog", "bird"), **fields)


@pytest.mark.parametrize("head", list(OUTPUTS))
def test_objects_are_those_that_the_original_library_found(head: str) -> None:
    preprocess, threshold = (STRETCH, 0.6) if "detr" in head else (LETTERBOX, 0.3)
    boxes, scores, classes = detect(detector(head), preprocess, threshold, *OUTPUTS[head])
    np.testing.assert_array_equal(classes, OBJECTS[head]["classes"])
    np.testing.assert_allclose(scores, OBJECTS[head]["scores"], atol=1e-4)
    np.testing.assert_allclose(boxes, OBJECTS[head]["boxes"], atol=1e-2)


@pytest.mark.parametrize("head", list(OUTPUTS))
def test_the_best_are_first_and_no_more_than_asked(head: str) -> None:
    every = detect(detector(head), STRETCH, 0.1, *OUTPUTS[head])
    best = detect(detector(head, at_most=3), STRETCH, 0.1, *OUTPUTS[head])
    assert len(every[1]) > 3
    assert (np.diff(every[1]) <= 0).all()
    for few, many in zip(best, every, strict=True):
        np.testing.assert_array_equal(few, many[:3])


@pytest.mark.parametrize("head", list(OUTPUTS))
def test_nothing_above_the_threshold_is_an_answer_without_objects(head: str) -> None:
    boxes, scores, classes = detect(detector(head), STRETCH, 1.0, *OUTPUTS[head])
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


@pytest.mark.parametrize(
    ("fit", "wanted"),
    [
        ({}, (31.25, 14.0625, 93.75, 42.1875)),
        ({"fit": "letterbox"}, (31.25, 0.0, 93.75, 38.75)),
        ({"fit": "pad"}, (31.25, 31.25, 93.75, 90.0)),
        ({"fit": "crop", "shorter_side": 320}, (68.917, 14.0625, 97.0464, 42.1875)),
    ],
    ids=str,
)
def test_a_box_returns_to_the_pictures_pixels(fit: dict[str, Any], wanted: tuple[float, ...]) -> None:
    output = np.array([[50, 50, 150, 150, 0.9, 1]], np.float32)[None]
    boxes, _, _ = detect(detector("end-to-end"), ImagePreprocess(SIDE, SIDE, 3, **fit), 0.5, output)
    np.testing.assert_allclose(boxes[0], wanted, atol=1e-3)


def test_only_boxes_of_one_class_suppress_each_other() -> None:
    rows = np.array([[100, 100, 50, 50, 0.9, 0.1, 0], [101, 100, 50, 50, 0.8, 0.2, 0], [100, 101, 50, 50, 0, 0.7, 0]])
    boxes, scores, classes = detect(detector("yolov8"), STRETCH, 0.25, rows.T[None].astype(np.float32))
    assert len(boxes) == 2
    assert scores.tolist() == pytest.approx([0.9, 0.7])
    assert classes.tolist() == [0, 1]


def test_the_overlap_is_the_declared_one() -> None:
    rows = np.array([[100, 100, 50, 50, 0.9, 0, 0], [120, 100, 50, 50, 0.8, 0, 0]])  # they share 3 of 7 parts
    output = rows.T[None].astype(np.float32)
    assert len(detect(detector("yolov8", overlap=0.42), STRETCH, 0.25, output)[0]) == 1
    assert len(detect(detector("yolov8", overlap=0.43), STRETCH, 0.25, output)[0]) == 2
