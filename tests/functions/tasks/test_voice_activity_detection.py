"""The parts of a sound with speech."""

import numpy as np
import numpy.typing as npt
import pytest

from onnxlet.errors import TooLargeError
from onnxlet.limits import MIB
from onnxlet.limits.memory import Budget
from onnxlet.media import sounds
from onnxlet.tasks.rows import Sound
from onnxlet.tasks.voice_activity_detection import Rules, segments
from onnxlet.web.app import App
from onnxlet_publishing.gate import check
from tests.helpers import app_requests
from tests.helpers.payload_requests import post, predictions
from tests.helpers.sounds import speech_candidate, wav_of

WINDOW = 512
RULES = Rules(threshold=0.5, least_speech=4000, least_silence=1600, padding=480)


def sound(*parts: tuple[float, float], rate: int = 16_000) -> npt.NDArray[np.float64]:
    """Parts of some seconds with a square wave of some height."""
    waves = [level * np.where(np.arange(int(seconds * rate)) // 40 % 2, -1.0, 1.0) for seconds, level in parts]
    return np.concatenate(waves)


SPEECH = sound((1, 0), (1, 0.5), (1, 0), (0.5, 0.5), (0.5, 0))


def ask(app: App, body: bytes, **query: str) -> list[dict[str, float]]:
    status, answer = app_requests.post(app, "/predict/speech", body, "audio/wav", **query)
    assert status == 200, answer
    (found,) = answer["predictions"]
    return list(found)


def test_the_parts_with_speech_have_their_beginnings_and_ends_in_seconds(app: App) -> None:
    assert ask(app, wav_of(SPEECH, 16_000)) == [{"start": 0.962, "end": 2.046}, {"start": 2.978, "end": 3.55}]


def test_the_rate_of_the_sound_does_not_change_its_parts(app: App) -> None:
    found = ask(app, wav_of(sound((1, 0), (1, 0.6), (1, 0), rate=48_000), 48_000))
    assert [(part["start"], part["end"]) for part in found] == [pytest.approx((0.96, 2.03), abs=0.04)]


def test_silence_has_no_parts(app: App) -> None:
    assert ask(app, wav_of(np.zeros(16_000), 16_000)) == []


def test_a_sound_may_be_shorter_than_a_window(app: App) -> None:
    found = ask(app, wav_of(0.9 * np.ones(100), 16_000), min_speech_duration_ms="0", threshold="0.3")
    assert found == [{"start": 0, "end": 0.006}]


def test_parameters_decide_what_speech_is(app: App) -> None:
    body = wav_of(SPEECH, 16_000)
    assert ask(app, body, threshold="0.999", speech_pad_ms="0")[0] == {"start": 1.024, "end": 1.984}
    assert len(ask(app, body, min_speech_duration_ms="800")) == 1
    assert len(ask(app, body, min_silence_duration_ms="2000")) == 1
    assert ask(app, body, speech_pad_ms="600")[0]["start"] == pytest.approx(0.392)
    for query in ({"threshold": "2"}, {"min_speech_duration_ms": "-1"}, {"speech_pad_ms": "x"}, {"top_k": "1"}):
        assert app_requests.post(app, "/predict/speech", body, "audio/wav", **query)[0] == 400


def test_several_sounds_of_different_lengths_get_their_own_answers(app: App) -> None:
    parts = [SPEECH, SPEECH[:20_000], SPEECH[:48_000]]
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\n' + wav_of(part, 16_000) + b"\r\n"
        for part in parts
    )
    found = predictions(app, "speech", body + b"--x--\r\n", "multipart/form-data; boundary=x")
    assert found == [ask(app, wav_of(part, 16_000)) for part in parts]


def test_numbers_are_tensors(app: App) -> None:
    status, answer = post(app, "/predict/speech", [[0.5] * 512])
    assert (status, answer["predictions"]) == (200, [[1.0]])


@pytest.mark.parametrize(
    ("probabilities", "rules", "expected"),
    [
        ([], RULES, []),
        ([0.4] * 50, RULES, []),
        ([0.5] * 50, RULES, [(0, 25_600)]),
        # Speech ends where the probability falls below 0.35, and only silence of four windows or more divides it.
        ([0.9] * 20 + [0.36] * 20 + [0.9] * 10, RULES, [(0, 25_600)]),
        ([0.9] * 20 + [0.34] * 4 + [0.9] * 20, RULES, [(0, 22_528)]),
        ([0.9] * 20 + [0.34] * 5 + [0.9] * 20, RULES, [(0, 10_720), (12_320, 23_040)]),
        ([0.9] * 7 + [0.1] * 20, RULES, []),
        ([0.9] * 8 + [0.1] * 20, RULES, [(0, 4576)]),
        # Two parts share a silence that is shorter than the padding of both.
        ([0.9] * 20 + [0.1] * 5 + [0.9] * 20, Rules(0.5, 4000, 1600, 3000), [(0, 11_520), (11_520, 23_040)]),
        # A part at the end is as long as the sound, which may end inside of a window.
        ([0.1] * 5 + [0.9] * 45, RULES, [(2080, 25_600)]),
    ],
)
def test_probabilities_become_parts(probabilities: list[float], rules: Rules, expected: list[tuple[int, int]]) -> None:
    assert segments(probabilities, WINDOW, len(probabilities) * WINDOW, rules) == expected


def test_the_memory_of_windows_is_counted() -> None:
    model = check(speech_candidate())
    tensor, rate = sounds.decode(wav_of(np.zeros(4_000_000), 16_000))
    with Budget(130 * MIB).share():
        model.predict([Sound(tensor, rate)])
    with Budget(70 * MIB).share(), pytest.raises(TooLargeError):
        model.predict([Sound(tensor, rate)])
