"""Tasks of sounds that only the user's options declare."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from onnxlet.contract.tasks.sounds import AudioClassification
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Overrides
from tests.helpers import graphs, sounds


def candidate_of(folder: Path, model: bytes, **overrides: Any) -> Any:
    (folder / "m.onnx").write_bytes(model)
    (folder / "labels.txt").write_text("quiet\nloud\n")
    (source,) = find(str(folder / "m.onnx"))
    return read(source, overrides=Overrides(**overrides)).candidate


@pytest.mark.parametrize("length", [None, 8000])
def test_a_classifier_of_sounds_needs_a_rate_and_labels(tmp_path: Path, length: int | None) -> None:
    model = sounds.loudness_candidate(length=length).model.data
    options: dict[str, Any] = {"task": "audio-classification", "labels": tmp_path / "labels.txt"}
    candidate = candidate_of(tmp_path, model, sampling_rate=16_000, **options)
    assert candidate.task == AudioClassification("audio-classification", 16_000, length)
    assert candidate.classification.labels == ("quiet", "loud")
    with pytest.raises(UsageError, match="--sampling-rate: expected the samples a second that the model takes"):
        candidate_of(tmp_path, model, **options)
    with pytest.raises(UsageError, match="--labels: the task audio-classification needs the names of its classes"):
        candidate_of(tmp_path, model, task="audio-classification", sampling_rate=16_000)


def test_a_model_that_takes_no_samples_is_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"labels": tmp_path / "labels.txt", "sampling_rate": 16_000}
    pictures = graphs.model(
        [helper.make_node("Flatten", ["x"], ["y"])], [("x", 1, ["n", 1, 1, 2])], [("y", 1, ["n", 2])]
    )
    with pytest.raises(ModelError, match="expected one input with the samples of a sound"):
        candidate_of(tmp_path, pictures.SerializeToString(), task="audio-classification", **options)


def test_a_detector_of_speech_has_windows_and_a_state(tmp_path: Path) -> None:
    model = sounds.window_model(5).SerializeToString()
    with pytest.raises(UsageError, match="--sampling-rate: expected 16000 for a voice activity detector, got 8000"):
        candidate_of(tmp_path, model, sampling_rate=8000)
    with pytest.raises(ModelError, match=r"expected a voice activity detector of Silero's kind.*\"x\" FP32"):
        candidate_of(
            tmp_path,
            onnx.ModelProto.SerializeToString(graphs.any_rank()),
            task="voice-activity-detection",
            sampling_rate=16_000,
        )
