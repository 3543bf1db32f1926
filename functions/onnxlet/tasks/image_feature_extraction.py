"""Image feature extraction: a vector for each picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import OUTPUT, VECTORS
from onnxlet.errors import InferenceError
from onnxlet.tasks.rows import Parameters, Prediction
from onnxlet.tasks.task import Task

if TYPE_CHECKING:
    from onnxlet.contract.tasks.pictures import ImageFeatures


class ImageFeatureExtractionTask(Task):
    """Pictures to vectors."""

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the vector of each picture.

        Raises:
            InferenceError: the output is not that of the task.
        """
        del parameters
        declaration: ImageFeatures = self.manifest.task  # type: ignore[assignment]
        (output,) = declaration.output
        count = len(prediction.batch.context)
        (vectors,) = self.run_postprocess({OUTPUT.format(0): prediction.outputs[output]}, [VECTORS])
        if vectors.shape[:1] != (count,):
            raise InferenceError(f'output "{output}": expected {count} rows, got {vectors.shape[0]}')
        prediction.answers = json_tensors.to_nested(vectors)
