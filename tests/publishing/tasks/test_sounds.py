"""The graph before a model of sounds, compared with its definition in numpy."""

from itertools import groupby

import numpy as np
import numpy.typing as npt
import pytest

from onnxlet.contract.tasks.sounds import AudioClassification, SoundTask, SpeechRecognition, VoiceActivity
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.session import open_session
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.tasks.sounds import ctc_graph, preprocess_graph

SOUND = np.random.default_rng(0).normal(0.2, 0.3, 1000).astype(np.float32)


def run(task: SoundTask, samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    inputs = {
        "samples": to_tensor(samples),
        "rate": Tensor(DATATYPES["INT64"], (1,), memoryview(rate.to_bytes(8, "little"))),
    }
    (tensor,) = open_session(preprocess_graph(task)).run(inputs, ["tensor"])
    return np.frombuffer(tensor.buffer, np.float32).reshape(tensor.shape)


def test_a_sound_at_the_models_rate_is_given_on() -> None:
    for task in (AudioClassification("", 16_000), VoiceActivity("", 16_000, "y", 512)):
        np.testing.assert_array_equal(run(task, SOUND, 16_000), SOUND[None])
        assert run(task, SOUND, 8000).shape == (1, 2000)


@pytest.mark.parametrize("length", [1000, 1500, 400])
def test_a_fixed_length_is_filled_up_with_zeros(length: int) -> None:
    found = run(AudioClassification("", 16_000, length), SOUND, 16_000)
    expected = np.zeros((1, length), np.float32)
    expected[0, : len(SOUND)] = SOUND[:length]
    np.testing.assert_array_equal(found, expected)


def test_samples_are_normalized_before_they_are_filled_up() -> None:
    found = run(AudioClassification("", 16_000, 1200, normalizes=True), SOUND, 16_000)
    expected = (SOUND - SOUND.mean()) / np.sqrt(SOUND.var() + 1e-7)
    np.testing.assert_allclose(found[0, :1000], expected, atol=1e-5)
    assert not found[0, 1000:].any()
    silence = run(AudioClassification("", 16_000, normalizes=True), np.zeros(100, np.float32), 16_000)
    assert not silence.any()


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("frames", [1, 2, 300])
def test_characters_are_those_of_the_definition_of_ctc(blank: int, frames: int) -> None:
    task = SpeechRecognition("", 16_000, vocabulary=("a", "b", "c", "d"), blank=blank)
    scores = np.random.default_rng(frames).normal(size=(1, frames, 4)).astype(np.float32)
    spec = TensorSpec("logits", DATATYPES["FP32"], ("batch", "frames", 4))
    (tokens,) = open_session(ctc_graph(task, spec)).run({"output0": to_tensor(scores)}, ["tokens"])
    best = [key for key, _ in groupby(scores[0].argmax(axis=1)) if key != blank]
    assert np.frombuffer(tokens.buffer, np.int64).tolist() == best


@pytest.mark.parametrize("shape", [("batch", 4), ("batch", "frames", 5), None])
def test_scores_of_another_form_are_refused(shape: tuple[str | int, ...] | None) -> None:
    task = SpeechRecognition("", 16_000, vocabulary=("a", "b", "c", "d"))
    with pytest.raises(ModelError, match=r'"logits": expected scores \(batch, frames, 4\)'):
        ctc_graph(task, TensorSpec("logits", DATATYPES["FP32"], shape))
