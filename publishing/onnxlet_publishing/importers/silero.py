"""The importer of voice activity detectors of Silero's kind, which take a window of a sound and a state."""

import onnx

from onnxlet_publishing.importers.settings import Findings, Found
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.tasks.voice_activity import SAMPLING_RATE, find_window_model

ORIGIN = "the names and shapes of its tensors"


def recognise(_source: Source, model: OnnxFile) -> Findings | None:
    """Return the task of a detector, whose windows and states publishing puts into the graph."""
    if "input" not in {spec.name for spec in model.inputs} or len(model.inputs) == 1:
        return None
    if find_window_model(onnx.load_from_string(model.data)) is None:
        return None
    return Findings(
        "a voice activity detector of Silero's kind",
        {
            "task": Found("voice-activity-detection", ORIGIN),
            "sampling_rate": Found(SAMPLING_RATE, ORIGIN, f"{SAMPLING_RATE} samples a second"),
        },
    )
