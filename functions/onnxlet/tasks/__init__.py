"""Tasks: a person's rows in, answers out. Loading a version imports the module of its task, and no other."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.tasks.task import Parts, Task

MODULES: dict[str, str] = {
    "object-detection": "object_detection:ObjectDetectionTask",
    "image-segmentation": "image_segmentation:ImageSegmentationTask",
    "image-feature-extraction": "image_feature_extraction:ImageFeatureExtractionTask",
    "text-classification": "text_classification:TextClassificationTask",
    "token-classification": "token_classification:TokenClassificationTask",
    "feature-extraction": "feature_extraction:FeatureExtractionTask",
    "sentence-similarity": "feature_extraction:FeatureExtractionTask",
    "text-ranking": "text_ranking:TextRankingTask",
    "fill-mask": "fill_mask:FillMaskTask",
    "question-answering": "question_answering:QuestionAnsweringTask",
    "zero-shot-classification": "zero_shot_classification:ZeroShotClassificationTask",
    "tabular-classification": "tabular:TabularTask",
    "tabular-regression": "tabular:TabularTask",
    "audio-classification": "audio_classification:AudioClassificationTask",
    "automatic-speech-recognition": "automatic_speech_recognition:SpeechRecognitionTask",
    "voice-activity-detection": "voice_activity_detection:VoiceActivityDetectionTask",
}
"""The module of each task that a manifest may declare, and the name of its class, as `module:Class`."""


def open_task(manifest: Manifest, parts: Parts) -> Task | None:
    """Return the task that a manifest declares; None for a model that labels or tensors describe completely.

    Raises:
        ArtifactError: the tokenizer or a graph of the task cannot be used.
    """
    if manifest.task is None:
        return None
    module, _, name = MODULES[manifest.task.name].partition(":")
    task: Task = getattr(import_module(f"onnxlet.tasks.{module}"), name)(manifest, parts)
    return task
