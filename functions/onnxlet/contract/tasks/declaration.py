"""Declaration: what the declarations of all tasks have, and the names of the inputs and outputs of their graphs."""

from __future__ import annotations

from typing import Any

from onnxlet.contract.artifact import Role
from onnxlet.record import Record, to_dict

OUTPUT = "output{}"
"""Inputs of a task's postprocess graph: `output0`, `output1` and so on, the outputs that the declaration names."""
SIZE = "size"
"""Input of a postprocess graph: the height and width of the client's picture in pixels, INT64 (2,)."""
THRESHOLD = "threshold"
"""Input of a postprocess graph: the smallest score of an answer, FP32 (1,)."""
MASK_THRESHOLD = "mask_threshold"
"""Input of a segmenter's postprocess graph: the smallest probability of a pixel of a mask, FP32 (1,)."""
MASK = "mask"
"""Input of a postprocess graph for texts: 1 for each token, 0 for padding, INT64 (batch, tokens)."""
BOXES = ("boxes", "scores", "classes")
"""Outputs of a detector's graph: xmin, ymin, xmax, ymax in the picture's pixels, FP32 (n, 4), FP32 (n,), INT64 (n,)."""
MASKS = ("masks", "scores", "classes")
"""Outputs of a segmenter's graph: 0 or 255 at the picture's size, UINT8 (n, height, width), FP32 (n,), INT64 (n,)."""
VECTORS = "vectors"
"""Output of a graph that makes vectors: FP32 (batch, dimensions)."""
SAMPLES, RATE = "samples", "rate"
"""Inputs of the preprocess graph for sounds: FP32 (samples,), and the samples in a second, INT64 (1,)."""


class Declaration(Record):
    """The declaration of what a version does for a person."""

    name: str
    """The task's name, one of Hugging Face's."""

    @property
    def takes(self) -> str:
        """The kind of payload that a person sends: `picture`, `text`, `table` or `sound`."""
        return "picture"

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs in addition to the model's graph."""
        return ()

    def inputs(self) -> tuple[str, ...]:
        """Return the names of the model's inputs that the task feeds; all of them must be fed."""
        return ()

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `parse_task` reads."""
        document: dict[str, Any] = to_dict(self)
        return document
