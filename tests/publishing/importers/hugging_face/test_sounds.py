"""Models of sounds in Hugging Face's folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.tasks.sounds import AudioClassification, SpeechRecognition
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.assembly import Import
from tests.helpers import graphs

CONFIG = {"architectures": ["Wav2Vec2ForSequenceClassification"], "id2label": {"0": "angry", "1": "happy"}}


def imported(folder: Path, features: dict[str, Any] | None) -> Import:
    model = graphs.model(
        [helper.make_node("MatMul", ["input_values", "w"], ["logits"])],
        [("input_values", TensorProto.FLOAT, ["batch", 100])],
        [("logits", TensorProto.FLOAT, ["batch", 2])],
        {"w": np.ones((100, 2), np.float32)},
    )
    onnx.save(model, folder / "model.onnx")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    if features is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(features))
    (source,) = find(str(folder))
    return read(source)


@pytest.mark.parametrize("normalizes", [True, False])
def test_the_feature_extractor_says_how_samples_are_taken(tmp_path: Path, normalizes: bool) -> None:
    found = imported(tmp_path, {"sampling_rate": 8000, "do_normalize": normalizes})
    task = AudioClassification("audio-classification", 8000, 100, None, normalizes)
    assert found.candidate.task == task
    assert found.candidate.classification is not None
    assert found.candidate.classification.labels == ("angry", "happy")


def test_a_folder_without_a_feature_extractor_needs_the_rate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--sampling-rate"):
        imported(tmp_path, None)


def speech(folder: Path, vocabulary: object) -> Import:
    model = graphs.model(
        [
            helper.make_node("Unsqueeze", ["input_values", "last"], ["column"]),
            helper.make_node("MatMul", ["column", "w"], ["logits"]),
        ],
        [("input_values", TensorProto.FLOAT, ["batch", "samples"])],
        [("logits", TensorProto.FLOAT, ["batch", "samples", 4])],
        {"w": np.ones((1, 4), np.float32), "last": np.array([2])},
    )
    onnx.save(model, folder / "model.onnx")
    (folder / "config.json").write_text(json.dumps({"architectures": ["Wav2Vec2ForCTC"], "pad_token_id": 3}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16_000, "do_normalize": True}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]", "word_delimiter_token": "/"}))
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (source,) = find(str(folder))
    return read(source)


def test_a_model_of_speech_has_its_characters(tmp_path: Path) -> None:
    found = speech(tmp_path, {"/": 0, "a": 1, "b": 2, "[PAD]": 3})
    assert found.candidate.task == SpeechRecognition(
        "automatic-speech-recognition",
        16_000,
        normalizes=True,
        output="logits",
        vocabulary=("/", "a", "b", "[PAD]"),
        blank=3,
        space="/",
    )


@pytest.mark.parametrize("vocabulary", [{"a": "0"}, {"a": -1}, {"a": 10**9}, {}])
def test_a_vocabulary_without_numbers_is_refused_by_its_file(tmp_path: Path, vocabulary: object) -> None:
    with pytest.raises(UsageError, match=r"vocab\.json: expected a number from 0"):
        speech(tmp_path, vocabulary)
