"""Image segmentation: labels with masks at the picture's own size."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import MASK_THRESHOLD, MASKS, THRESHOLD
from onnxlet.contract.tasks.pictures import MAX_MASK_BYTES, SUBTASKS
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import InvalidRequestError
from onnxlet.limits import deadline, memory
from onnxlet.media import masks as mask_files
from onnxlet.tasks.object_detection import label_of
from onnxlet.tasks.parameters import Parser, choice, number
from onnxlet.tasks.picture_task import PictureTask, Size
from onnxlet.tasks.rows import Parameters, Prediction

if TYPE_CHECKING:
    from onnxlet.contract.tasks.pictures import ImageSegmentation

PIXEL_BYTES = 24
"""The bytes that the graph takes for each pixel of the picture, without the masks."""

MASK_COPIES = 2
"""The number of times that all masks are in memory while the graph puts them together."""


class ImageSegmentationTask(PictureTask):
    """Pictures to masks: `[{"label", "score", "mask": PNG as base64}]`; a class has no score."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        "threshold": number(0, 1),
        "mask_threshold": number(0, 1),
        "subtask": choice("instance", "panoptic", "semantic"),
    }

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the masks of each picture, and draw them for a client that sent only one.

        Raises:
            InvalidRequestError: the client asks for another kind of masks than the model's.
            TooLargeError, BusyError: there is no memory for masks of the picture's size.
            InferenceError: the outputs are not those of the task.
        """
        declaration: ImageSegmentation = self.manifest.task  # type: ignore[assignment]
        own = SUBTASKS[declaration.head]
        if parameters.get("subtask", own) != own:
            raise InvalidRequestError(f"subtask: expected {own}, got {parameters['subtask']}: the model has no other")
        thresholds = {
            THRESHOLD: parameters.get("threshold", declaration.threshold),
            MASK_THRESHOLD: parameters.get("mask_threshold", declaration.mask_threshold),
        }
        answers = []
        for size, outputs in self.outputs_of(prediction):
            with memory.taken(_graph_bytes(declaration, size)):
                masks, scores, classes = self.run_graph(outputs, size, thresholds, MASKS)
                indices = json_tensors.to_values(classes)
                answers.append(_masks(declaration, masks, json_tensors.to_values(scores), indices))
                if len(prediction.batch.context) == 1 and max(indices, default=0) < mask_files.MAX_VALUES:
                    prediction.picture = mask_files.draw(masks, size, [index + 1 for index in indices])
        prediction.answers = answers


def _graph_bytes(declaration: ImageSegmentation, size: Size) -> int:
    pixels = size[0] * size[1]
    return PIXEL_BYTES * pixels + MASK_COPIES * min(declaration.at_most * pixels, max(MAX_MASK_BYTES, pixels))


def _masks(
    declaration: ImageSegmentation, masks: Tensor, scores: list[float], classes: list[int]
) -> list[dict[str, Any]]:
    documents = []
    for file, score, index in zip(mask_files.encode(masks), scores, classes, strict=True):
        deadline.check()
        documents.append(
            {
                "label": label_of(declaration.labels, index),
                "score": None if score != score else score,  # a class has no score: not a number
                "mask": b64encode(file).decode(),
            }
        )
    return documents
