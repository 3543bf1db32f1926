from pathlib import Path
from typing import Any

import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ImageSegmentation, ObjectDetection
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet_publishing.importers import ultralytics
from onnxlet_publishing.importers.assembly import assemble
from onnxlet_publishing.importers.settings import NO_OVERRIDES, Findings
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile

SOURCE = Source(Path("best.onnx"), "best", "best.onnx")
EXPORT = {
    "author": "Ultralytics",
    "stride": "32",
    "task": "detect",
    "imgsz": "[320, 320]",
    "names": "{0: 'cat', 1: 'dog'}",
    "args": "{'nms': None, 'half': False}",
    "channels": "3",
    "end2end": "False",
    "head": "Detect",
}
YOLOV5 = {"stride": "32", "names": "{0: 'cat', 1: 'dog'}"}

LETTERBOX = ImagePreprocess(320, 320, 3, "NCHW", fit="letterbox", pad_value=114.0, antialias=False)


def exported(
    *outputs: tuple[int | str, ...], metadata: dict[str, str] = EXPORT, shape: tuple[Any, ...] = (1, 3, 320, 320)
) -> OnnxFile:
    specs = tuple(TensorSpec(f"output{index}", DATATYPES["FP32"], own) for index, own in enumerate(outputs))
    return OnnxFile(b"", (TensorSpec("images", DATATYPES["FP32"], shape),), specs, (), metadata=metadata)


def recognised(*outputs: tuple[int | str, ...], **changes: str) -> Findings:
    found = ultralytics.recognise(SOURCE, exported(*outputs, metadata=EXPORT | changes))
    assert found is not None
    return found


def declared(model: OnnxFile) -> Any:
    findings = ultralytics.recognise(SOURCE, model)
    assert findings is not None
    return assemble("best", SOURCE, model, findings, NO_OVERRIDES).candidate


@pytest.mark.parametrize(
    ("shape", "changes", "head"),
    [
        ((1, 6, 2100), {}, "yolov8"),
        ((1, 6, 2100), {"args": "None"}, "yolov8"),
        (("batch", "rows", "anchors"), {}, "yolov8"),
        ((1, 300, 6), {"end2end": "True"}, "end-to-end"),
        ((1, 300, 6), {"args": "{'nms': True}"}, "end-to-end"),
        ((1, 300, 6), {}, "end-to-end"),
        ((1, 300, 6), {"head": "RTDETRDecoder"}, "rt-detr-rows"),
    ],
    ids=str,
)
def test_a_detector_has_the_head_of_its_shape(shape: tuple[Any, ...], changes: dict[str, str], head: str) -> None:
    candidate = declared(exported(shape, metadata=EXPORT | changes))
    assert candidate.task == ObjectDetection("object-detection", ("output0",), head, ("cat", "dog"), 0.25, 0.7, 300)
    is_stretched = head == "rt-detr-rows"
    assert candidate.preprocess == (
        ImagePreprocess(320, 320, 3, "NCHW", antialias=False) if is_stretched else LETTERBOX
    )


def test_yolov5_has_its_own_head_and_limits() -> None:
    task = declared(exported((1, 6300, 7), metadata=YOLOV5)).task
    assert task == ObjectDetection("object-detection", ("output0",), "yolov5", ("cat", "dog"), 0.25, 0.45, 1000)


@pytest.mark.parametrize(
    ("rows", "changes", "head"),
    [((1, 38, 2100), {}, "yolov8"), ((1, 300, 38), {"end2end": "True"}, "end-to-end")],
    ids=str,
)
def test_a_segmenter_has_rows_and_prototypes(rows: tuple[Any, ...], changes: dict[str, str], head: str) -> None:
    candidate = declared(exported(rows, (1, 32, 80, 80), metadata=EXPORT | {"task": "segment"} | changes))
    names = ("output0", "output1")
    assert candidate.task == ImageSegmentation("image-segmentation", names, head, ("cat", "dog"), at_most=100)
    assert candidate.preprocess == LETTERBOX


@pytest.mark.parametrize(
    ("sides", "preprocess"),
    [
        ((64, 64), ImagePreprocess(64, 64, 3, "NCHW", fit="crop", shorter_side=64, margins="even")),
        ((64, 96), ImagePreprocess(64, 96, 3, "NCHW")),
    ],
)
def test_a_classifier_crops_as_torchvision_does(sides: tuple[int, int], preprocess: ImagePreprocess) -> None:
    model = exported((1, 2), metadata=EXPORT | {"task": "classify"}, shape=(1, 3, *sides))
    candidate = declared(model)
    assert candidate.task is None
    assert candidate.classification.labels == ("cat", "dog")
    assert candidate.preprocess == preprocess


def test_the_size_of_a_dynamic_model_is_that_of_its_export() -> None:
    for size, wanted in (("[320, 320]", LETTERBOX), ("320", LETTERBOX)):
        metadata = EXPORT | {"imgsz": size}
        model = exported(("batch", 6, "anchors"), metadata=metadata, shape=("batch", 3, "height", "width"))
        assert declared(model).preprocess == wanted


def test_a_grey_model_takes_one_channel() -> None:
    assert recognised((1, 6, 2100), channels="1").settings["preprocess"].value.channels == 1


@pytest.mark.parametrize("task", ["pose", "obb"])
def test_another_task_is_named_and_served_as_tensors(task: str) -> None:
    model = exported((1, 56, 2100), metadata=EXPORT | {"task": task})
    findings = ultralytics.recognise(SOURCE, model)
    assert findings is not None
    assert not findings.settings
    line, *_ = assemble("best", SOURCE, model, findings, NO_OVERRIDES).lines
    assert line.startswith(f"a model of Ultralytics for {task} without a known task: requests and answers are tensors")


def test_outputs_of_another_form_are_served_as_tensors() -> None:
    for outputs in ([(1, 99, 2100)], [(1, 6, 2100, 1)]):
        assert not recognised(*outputs).settings
    assert not recognised((1, 38, 2100), task="segment").settings


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"names": EXPORT["names"]},
        {"stride": "32", "names": "{1: 'cat', 3: 'dog'}"},
        {"stride": "32", "names": "__import__('os')"},
        {"stride": "32", "names": "{[]: 1}"},
        {"stride": "32", "names": "[" * 100_000},
    ],
    ids=lambda metadata: str(metadata)[:40],
)
def test_a_model_without_the_names_of_all_its_classes_is_another_importers(metadata: dict[str, str]) -> None:
    assert ultralytics.recognise(SOURCE, exported((1, 6, 2100), metadata=metadata)) is None
