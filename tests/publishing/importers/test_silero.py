"""Detectors of Silero's kind, published without an option."""

import uuid
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxlet.contract.tasks.sounds import VoiceActivity
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.assembly import Import
from onnxlet_publishing.importers.settings import Overrides
from tests.helpers import graphs
from tests.helpers.payload_requests import predictions
from tests.helpers.sounds import wav_of, window_model
from tests.helpers.ungated import publish


def imported(folder: Path, model: onnx.ModelProto, threshold: float | None = None) -> Import:
    onnx.save(model, folder / "m.onnx")
    (source,) = find(str(folder / "m.onnx"))
    return read(source, overrides=Overrides(threshold=threshold))


@pytest.mark.parametrize("version", [4, 5])
def test_it_is_recognised_and_takes_a_sound(tmp_path: Path, version: int) -> None:
    found = imported(tmp_path, window_model(version))
    assert found.lines[0] == "a voice activity detector of Silero's kind"
    assert found.candidate.task == VoiceActivity("voice-activity-detection", 16_000, "probabilities", 512)
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, found.candidate)
    app = App(Settings(registry.store.url))
    assert predictions(app, "m", wav_of(np.ones(16_000) * 0.5, 8000), "audio/wav") == [[{"start": 0.0, "end": 2.0}]]


def test_its_threshold_may_be_another(tmp_path: Path) -> None:
    task = imported(tmp_path, window_model(5), 0.7).candidate.task
    assert isinstance(task, VoiceActivity)
    assert task.threshold == 0.7


def test_other_models_are_not_of_this_kind(tmp_path: Path) -> None:
    assert imported(tmp_path, graphs.two_inputs()).candidate.task is None
    assert imported(tmp_path, graphs.identity(1)).candidate.task is None
