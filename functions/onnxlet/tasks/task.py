"""Task: what every task has. It turns what a person sends into a batch, and a model's outputs into what a person reads.

A task never runs the model: `models.Model.predict` does, between `prepare` and `answer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from onnxlet.errors import InferenceError, UnsupportedMediaError
from onnxlet.limits import MAX_JOINED_BYTES
from onnxlet.record import EMPTY, Record
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tensors import Tensor
    from onnxlet.session import Session
    from onnxlet.tasks.parameters import Parser
    from onnxlet.tasks.tokenizer import Tokenizer


class Parts(Record):
    """The artifacts of a version that its task uses, besides the model itself."""

    preprocess: Session | None = None
    postprocess: Session | None = None
    tokenizer: Tokenizer | None = None
    """The tokenizer of a version that takes texts."""


class Task:
    """The base of all tasks. A subclass is one task of one loaded version, and safe for threads."""

    run_bytes = MAX_JOINED_BYTES
    """The size of the inputs that run as one tensor."""
    PARAMETERS: ClassVar[Mapping[str, Parser]] = EMPTY
    """The parameters that a client may send, besides the `top_k` of models with labels."""

    def __init__(self, manifest: Manifest, parts: Parts) -> None:
        """Open the task.

        Raises:
            ArtifactError: one of the parts cannot be used.
        """
        self.manifest = manifest
        self.parts = parts

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return a person's rows as a batch of the model's inputs.

        Images do not come here: the preprocess graph prepares them.

        Raises:
            InvalidRequestError, InvalidTensorError: a row is not what the task takes.
            UnsupportedMediaError: the task takes rows of another kind.
            TooLargeError, BusyError: there is no memory for the tensors.
        """
        del rows, parameters
        takes = self.manifest.takes()
        raise UnsupportedMediaError(f'model "{self.manifest.model}" takes a {takes}, got something else')

    def align(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Return the batches in shapes that can be joined into one tensor, for instance padded to the same length."""
        return batches

    def run_preprocess(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run the task's graph before the model, and return its outputs.

        Raises:
            InferenceError: there is no such graph, or it fails.
        """
        if self.parts.preprocess is None:
            raise InferenceError(f'model "{self.manifest.model}": no preprocess graph')
        return self.parts.preprocess.run(inputs, outputs)

    def run_postprocess(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run the task's graph after the model, and return its outputs.

        Raises:
            InferenceError: there is no such graph, a tensor has no elements, or the graph fails.
        """
        empty = next((name for name, tensor in inputs.items() if 0 in tensor.shape), None)
        if self.parts.postprocess is None or empty is not None:
            problem = "no postprocess graph" if empty is None else f'no elements in "{empty}"'
            raise InferenceError(f'model "{self.manifest.model}": {problem}')
        return self.parts.postprocess.run(inputs, outputs)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the answers of a prediction, unless the outputs' values are the answer.

        Raises:
            InferenceError: the outputs are not those of the task.
        """
