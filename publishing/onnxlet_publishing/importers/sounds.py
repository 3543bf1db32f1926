"""Tasks of sounds: the declaration that follows from a model's input and the settings."""

from dataclasses import replace

import onnx

from onnxlet.contract.tasks.sounds import AudioClassification, SpeechRecognition, VoiceActivity
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers.classification import with_classification
from onnxlet_publishing.importers.settings import Settings
from onnxlet_publishing.onnx_file import from_model
from onnxlet_publishing.tasks.voice_activity import (
    PROBABILITIES,
    SAMPLING_RATE,
    WINDOW,
    find_window_model,
    over_windows,
)

RATE_PURPOSE = "expected the samples a second that the model takes"
DEFAULT_THRESHOLD = 0.5


def build(candidate: Candidate, task: str, settings: Settings) -> Candidate:
    """Return a candidate that declares a task of sounds.

    Raises:
        UsageError: The sampling rate or the labels are missing or not possible, or the labels cannot be read.
        ModelError: The model does not take the samples of a sound.
    """
    rate = settings.require("sampling_rate", RATE_PURPOSE)
    if task == "voice-activity-detection":
        return _with_windows(candidate, rate, settings.choose("threshold", DEFAULT_THRESHOLD))
    if task == "automatic-speech-recognition":
        vocabulary = settings.require("vocabulary", f"the task {task} needs the file vocab.json of its folder")
        declared = SpeechRecognition(
            task,
            rate,
            *_form(candidate, settings),
            output=candidate.model.outputs[0].name,
            vocabulary=vocabulary,
            blank=settings.choose("blank", 0),
            space=settings.choose("space", "|"),
        )
        return replace(candidate, task=declared)
    settings.require("labels", f"the task {task} needs the names of its classes")
    candidate = with_classification(candidate, settings)
    return replace(candidate, task=AudioClassification(task, rate, *_form(candidate, settings)))


def _form(candidate: Candidate, settings: Settings) -> tuple[int | None, int | None, bool]:
    """Return the length, the largest length and the normalization of the samples."""
    return _length(candidate), settings.choose("max_length"), bool(settings.choose("normalizes"))


def _with_windows(candidate: Candidate, rate: int, threshold: float) -> Candidate:
    """Return a candidate whose graph runs the model on all windows of a sound."""
    if rate != SAMPLING_RATE:
        raise UsageError(f"--sampling-rate: expected {SAMPLING_RATE} for a voice activity detector, got {rate}")
    model = onnx.load_from_string(candidate.model.data)
    form = find_window_model(model)
    if form is None:
        declared = ", ".join(f'"{spec.name}" {spec}' for spec in candidate.model.inputs)
        raise ModelError(
            f"{candidate.source}: expected a voice activity detector of Silero's kind, with a window of a sound and a "
            f"state as inputs, got {declared}"
        )
    return replace(
        candidate,
        model=from_model(candidate.source, over_windows(model, form)),
        task=VoiceActivity("voice-activity-detection", rate, PROBABILITIES, WINDOW, threshold),
    )


def _length(candidate: Candidate) -> int | None:
    """Return the number of samples that a model takes; None if its input has a free size."""
    first, *others = candidate.model.inputs
    if others or first.datatype.name != "FP32" or first.shape is None or len(first.shape) != 2:
        declared = ", ".join(f'"{spec.name}" {spec}' for spec in candidate.model.inputs)
        raise ModelError(
            f"{candidate.source}: expected one input with the samples of a sound, FP32 (batch, samples), got {declared}"
        )
    return first.shape[1] if isinstance(first.shape[1], int) else None
