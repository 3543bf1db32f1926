"""Picture task: what the tasks of pictures have in common. Their graphs answer one picture at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from onnxlet.contract import tensors
from onnxlet.contract.tasks.declaration import OUTPUT, SIZE
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InferenceError
from onnxlet.limits import deadline
from onnxlet.tasks.rows import Prediction
from onnxlet.tasks.task import Task

if TYPE_CHECKING:
    from onnxlet.contract.tasks.pictures import PictureTask as Declaration

Size = tuple[int, int]
"""The height and the width of a picture."""


class PictureTask(Task):
    """The base of the tasks whose postprocess graph reads the model's outputs for one picture."""

    def outputs_of(self, prediction: Prediction) -> Iterator[tuple[Size, dict[str, Tensor]]]:
        """Yield the size of each picture, and the inputs that its graph has for the model's outputs.

        Raises:
            InferenceError: an output has another number of rows than the client sent pictures.
        """
        declaration: Declaration = self.manifest.task  # type: ignore[assignment]
        sizes: Sequence[Size] = prediction.batch.context
        rows = []
        for name in declaration.output:
            tensor = prediction.outputs[name]
            if tensor.shape[:1] != (len(sizes),):
                raise InferenceError(f'output "{name}": expected {len(sizes)} rows, got {tensor.shape}')
            rows.append(tensors.split(tensor, [1] * len(sizes)))
        for index, size in enumerate(sizes):
            deadline.check()
            yield size, {OUTPUT.format(number): parts[index] for number, parts in enumerate(rows)}

    def run_graph(
        self, outputs: Mapping[str, Tensor], size: Size, thresholds: Mapping[str, float], results: Sequence[str]
    ) -> Sequence[Tensor]:
        """Run the postprocess graph for one picture.

        Args:
            outputs: The model's outputs, by the names of the graph's inputs.
            size: The picture's size.
            thresholds: The graph's other inputs.
            results: The names of the graph's outputs.

        Raises:
            InferenceError: the graph fails.
        """
        own = Tensor(DATATYPES["INT64"], (2,), memoryview(struct.pack("<2q", *size)))
        others = {
            name: Tensor(DATATYPES["FP32"], (1,), memoryview(struct.pack("<f", value)))
            for name, value in thresholds.items()
        }
        return self.run_postprocess({**outputs, SIZE: own, **others}, results)
