"""Sounds and their words."""

import uuid

import numpy as np
import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import app_requests
from tests.helpers.payload_requests import predictions
from tests.helpers.sounds import spelled, spelling_candidate, wav_of


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, spelling_candidate())
    return App(Settings(registry.store.url, "spelling"), write_line=lambda _line: None)


@pytest.mark.parametrize(
    ("sound", "text"),
    [
        ("hello", "helo"),  # the same character in two frames is one
        ("hel_lo", "hello"),
        ("hhee_ll_lloo", "hello"),
        ("|he||_|lo|", "he lo"),
        ("____", ""),
    ],
)
def test_a_sound_gets_its_words(app: App, sound: str, text: str) -> None:
    assert predictions(app, "spelling", spelled(sound), "audio/wav") == [{"text": text}]


def test_hugging_faces_form_is_one_document(app: App) -> None:
    assert app_requests.post(app, "/models/spelling", spelled("he"), "audio/wav") == (200, {"text": "he"})


def test_a_parameter_that_the_task_does_not_have_is_refused(app: App) -> None:
    status, answer = app_requests.post(app, "/models/spelling", spelled("he"), "audio/wav", return_timestamps="true")
    assert (status, answer["error"][:30]) == (400, "parameter 'return_timestamps':")


def test_an_empty_sound_is_a_4xx(app: App) -> None:
    status, _ = app_requests.post(app, "/predict/spelling", wav_of(np.zeros(0), 16_000), "audio/wav")
    assert 400 <= status < 500
