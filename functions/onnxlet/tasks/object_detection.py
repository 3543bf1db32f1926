"""Object detection: labels with boxes in the picture's own pixels, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import BOXES, THRESHOLD
from onnxlet.tasks.parameters import Parser, number
from onnxlet.tasks.picture_task import PictureTask
from onnxlet.tasks.rows import Parameters, Prediction

if TYPE_CHECKING:
    from onnxlet.contract.tasks.pictures import ObjectDetection

SIDES = ("xmin", "ymin", "xmax", "ymax")

DECIMALS = 2
"""The digits of a position after the point, in pixels."""


class ObjectDetectionTask(PictureTask):
    """Pictures to objects: `[{"label", "score", "box": {"xmin", "ymin", "xmax", "ymax"}}]`."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {"threshold": number(0, 1)}

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the objects of each picture.

        Raises:
            InferenceError: the outputs are not those of the task.
        """
        declaration: ObjectDetection = self.manifest.task  # type: ignore[assignment]
        thresholds = {THRESHOLD: parameters.get("threshold", declaration.threshold)}
        prediction.answers = [
            _objects(declaration.labels, *map(json_tensors.to_nested, self.run_graph(outputs, size, thresholds, BOXES)))
            for size, outputs in self.outputs_of(prediction)
        ]


def _objects(
    labels: tuple[str, ...], boxes: list[list[float]], scores: list[float], classes: list[int]
) -> list[dict[str, Any]]:
    return [
        {
            "label": label_of(labels, number),
            "score": score,
            "box": {side: round(position, DECIMALS) for side, position in zip(SIDES, box, strict=True)},
        }
        for box, score, number in zip(boxes, scores, classes, strict=True)
    ]


def label_of(labels: tuple[str, ...], number: int) -> str:
    """Return the label of a class, or its number if the model gives a class that has no label."""
    return labels[number] if 0 <= number < len(labels) else str(number)
