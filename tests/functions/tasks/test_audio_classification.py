"""Sounds and their labels."""

import base64
import math

import numpy as np
import pytest

from onnxlet.web.app import App
from tests.helpers import app_requests
from tests.helpers.payload_requests import post, predictions
from tests.helpers.sounds import wav_of

SECOND = 0.5 * np.ones(16_000)


def test_a_sound_gets_labels_with_probabilities(app: App) -> None:
    (answer,) = predictions(app, "loudness", wav_of(SECOND, 16_000), "audio/wav")
    assert (answer["label"], [item["label"] for item in answer["top"]]) == ("quiet", ["quiet", "loud"])
    assert answer["probability"] == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize("media_type", ["", "audio/x-wav", "application/octet-stream", "text/plain"])
def test_a_sound_is_known_by_its_first_bytes(app: App, media_type: str) -> None:
    (answer,) = predictions(app, "loudness", wav_of(SECOND, 16_000), media_type)
    assert answer["probability"] == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_a_sound_of_another_rate_and_with_several_channels_is_the_same(app: App, rate: int) -> None:
    tone = 0.8 * np.sin(2 * math.pi * 220 * np.arange(rate) / rate)
    (answer,) = predictions(app, "loudness", wav_of(np.stack([tone, tone], axis=1), rate, bits=24), "audio/wav")
    assert answer["top"][1]["probability"] == pytest.approx(0.32, abs=2e-3)


def test_sounds_may_be_base64_in_json(app: App) -> None:
    text = base64.b64encode(wav_of(SECOND, 16_000)).decode()
    for body in ({"b64": text}, [text], {"instances": [{"b64": text}]}):
        (answer,) = predictions(app, "loudness", body)
        assert answer["label"] == "quiet"
    status, answer = post(app, "/v1/models/loudness:predict", {"instances": [{"b64": text}, {"b64": text}]})
    assert (status, [item["label"] for item in answer["predictions"]]) == (200, ["quiet", "quiet"])


def test_hugging_faces_clients_send_a_file_or_base64(app: App) -> None:
    body = wav_of(SECOND, 16_000)
    labels = [{"label": "quiet", "score": pytest.approx(0.75, abs=1e-4)}]
    assert app_requests.post(app, "/models/loudness", body, "audio/wav", top_k="1") == (200, labels)
    request = {"inputs": base64.b64encode(body).decode(), "parameters": {"top_k": 1}}
    assert post(app, "/models/loudness", request) == (200, labels)


def test_a_form_may_have_several_sounds(app: App) -> None:
    part = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav_of(SECOND[:100], 16_000)
    body = b"--x\r\n" + part + b"\r\n--x\r\n" + part + b"\r\n--x--\r\n"
    assert len(predictions(app, "loudness", body, "multipart/form-data; boundary=x")) == 2


def test_the_number_of_labels_can_be_chosen(app: App) -> None:
    status, answer = app_requests.post(app, "/predict/loudness", wav_of(SECOND, 16_000), "audio/wav", top_k="1")
    assert (status, len(answer["predictions"][0]["top"])) == (200, 1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("none", (0.75, 0.25)), ("sigmoid", (0.6792, 0.5622)), ("softmax", (0.6225, 0.3775))],
)
def test_another_function_may_be_applied(app: App, function: str, expected: tuple[float, float]) -> None:
    body = wav_of(SECOND, 16_000)
    status, answer = app_requests.post(app, "/predict/loudness", body, "audio/wav", function_to_apply=function)
    assert status == 200
    assert [item["probability"] for item in answer["predictions"][0]["top"]] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("body", "media_type", "status", "error"),
    [
        (wav_of(np.zeros(40_000), 16_000), "audio/wav", 413, "at most 2.00 s, got 2.50 s"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", 422, "ends before its data"),
        (b"not a sound", "audio/wav", 422, "expected a WAV file"),
        (b"ID3" + bytes(100), "", 415, "audio/mpeg"),
        (b"fLaC" + bytes(100), "audio/flac", 415, "audio/flac"),
        (b"hello", "text/plain", 415, ""),
    ],
)
def test_what_is_no_sound_is_an_error_of_the_client(
    app: App, body: bytes, media_type: str, status: int, error: str
) -> None:
    found, answer = post(app, "/predict/loudness", body, media_type)
    assert (found, error in answer["error"]) == (status, True), answer


def test_a_model_of_tensors_takes_no_sound(app: App) -> None:
    status, answer = post(app, "/predict/sums", wav_of(SECOND, 16_000), "audio/wav")
    assert (status, answer["error"]) == (415, 'model "sums" takes a table, not a sound')
