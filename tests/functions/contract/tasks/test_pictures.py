from typing import Any

import orjson
import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.tasks import parse_task
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.contract.tasks.pictures import ImageFeatures, ImageSegmentation, ObjectDetection
from onnxlet.errors import ManifestError

DETECTION = ObjectDetection("object-detection", ("logits", "boxes"), "detr", ("cat", "dog"), 0.5, 0.45, 10)
SEGMENTATION = ImageSegmentation("image-segmentation", ("out",), "mask", ("road",), "sigmoid", 0.1, 0.2, 0.3, 4)
FEATURES = ImageFeatures("image-feature-extraction", ("pooled",), "mean", True)


def parse(content: dict[str, Any]) -> Declaration:
    return parse_task(Document(orjson.loads(orjson.dumps(content)), "task"))


@pytest.mark.parametrize("task", [DETECTION, SEGMENTATION, FEATURES], ids=lambda task: task.name)
def test_a_stored_declaration_is_read_again(task: Declaration) -> None:
    assert parse(task.to_document()) == task
    assert task.takes == "picture"
    assert task.roles() == ("preprocess", "postprocess")
    assert task.outputs() == task.output  # type: ignore[attr-defined]


def test_what_is_not_declared_has_a_default() -> None:
    assert parse({"name": "object-detection", "output": ["out"], "head": "yolov8", "labels": ["a"]}) == ObjectDetection(
        "object-detection", ("out",), "yolov8", ("a",), 0.25, 0.7, 300
    )
    assert parse({"name": "image-feature-extraction", "output": ["out"]}) == ImageFeatures(
        "image-feature-extraction", ("out",), "none", False
    )


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        (
            DETECTION,
            {"head": "yolov3"},
            "head: expected one of yolov5, yolov8, end-to-end, detr, rt-detr",
        ),
        (DETECTION, {"output": ["out"]}, "output: expected the names of 2 outputs, got ['out']"),
        (SEGMENTATION, {"output": ["a", "b"]}, "output: expected the names of 1 output, got ['a', 'b']"),
        (DETECTION, {"labels": []}, "labels: expected at least one label, got []"),
        (SEGMENTATION, {"labels": ["a", "b", "c"]}, "labels: expected one label, or one for the rest of the picture"),
        (DETECTION, {"threshold": 1.5}, "threshold: expected a number from 0 to 1, got 1.5"),
        (SEGMENTATION, {"mask_threshold": -1}, "mask_threshold: expected a number from 0 to 1, got -1"),
        (DETECTION, {"at_most": 0}, "at_most: expected an integer from 1 to 1000, got 0"),
        (SEGMENTATION, {"activation": "softmax"}, "activation: expected one of none, sigmoid, got 'softmax'"),
        (FEATURES, {"pooling": "max"}, "pooling: expected one of none, cls, mean, got 'max'"),
        (FEATURES, {"normalize": 1}, "normalize: expected true or false, got 1"),
        (FEATURES, {"labels": ["a"]}, "the field 'labels' is unknown"),
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_is_refused(task: Declaration, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(task.to_document() | changes)
    assert words in str(caught.value)
