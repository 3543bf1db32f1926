import io
import math
import struct
import wave

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import OnnxletError, TooLargeError, UnreadablePayloadError
from onnxlet.media import sounds
from tests.helpers.sounds import EXTENSIBLE, FLOAT, PCM, wav, wav_of

Array = npt.NDArray[np.float64]

SINE = np.sin(np.arange(100_000) / 7) * 0.9


def decoded(body: bytes) -> tuple[npt.NDArray[np.float32], int]:
    tensor, rate = sounds.decode(body)
    assert str(tensor.datatype.name) == "FP32"
    return np.frombuffer(tensor.buffer, np.float32).reshape(tensor.shape), rate


@pytest.mark.parametrize(
    ("kind", "bits", "step"),
    [
        (PCM, 8, 2**-7),
        (PCM, 16, 2**-15),
        (PCM, 24, 2**-23),
        (PCM, 32, 2**-24),
        (FLOAT, 32, 2**-24),
        (FLOAT, 64, 2**-24),
    ],
)
@pytest.mark.parametrize("is_extensible", [False, True])
def test_every_form_of_samples_is_read(kind: int, bits: int, step: float, is_extensible: bool) -> None:
    samples, rate = decoded(wav_of(SINE, 22_050, kind, bits, is_extensible=is_extensible))
    assert rate == 22_050
    assert samples.shape == SINE.shape
    assert float(np.abs(samples - SINE).max()) <= step


def test_the_ends_of_the_range_are_minus_one_and_almost_one() -> None:
    for bits in (8, 16, 24, 32):
        samples, _ = decoded(wav_of(np.array([-1.0, 0.0, 1.0]), 8000, PCM, bits))
        assert samples[0] == -1
        assert samples[1] == 0
        assert samples[2] == np.float32(1 - 2.0 ** (1 - bits))


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_channels_are_averaged(bits: int) -> None:
    stereo = np.stack([SINE[:1000], -SINE[:1000], np.full(1000, 0.75)], axis=1)
    samples, _ = decoded(wav_of(stereo, 16_000, PCM, bits))
    assert samples.shape == (1000,)
    assert float(np.abs(samples - 0.25).max()) <= 2.0 ** (1 - bits)


def test_what_the_standard_library_writes_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(struct.pack("<3h", 0, 16_384, -32_768))
    samples, rate = decoded(file.getvalue())
    assert (samples.tolist(), rate) == ([0, 0.5, -1], 44_100)


def test_other_chunks_are_left_out_also_those_of_an_odd_size() -> None:
    body = wav(PCM, 1, 8000, 16, struct.pack("<2h", 0, 16_384), before=[(b"LIST", b"abc"), (b"bext", bytes(600))])
    assert decoded(body)[0].tolist() == [0, 0.5]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_file_from_a_pipe_ends_where_its_bytes_end(size: int) -> None:
    body = wav(PCM, 1, 8000, 16, struct.pack("<2h", 0, 16_384) + b"\0", data_size=size)
    assert decoded(body)[0].tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "expected a WAV file, got 0 bytes"),
        (b"ID3\x04" + bytes(100), "expected a WAV file"),
        (b"RIFF\x04\0\0\0WAVE", "ends before its data"),
        (wav(PCM, 1, 8000, 16, b""), "no samples"),
        (wav(PCM, 1, 8000, 16, b"\0\0", data_size=8), "ends after 2 of 8 bytes"),
        (wav(6, 1, 8000, 8, b"\0\0"), "samples of 8 bits in format 6"),
        (wav(PCM, 1, 8000, 12, b"\0\0"), "samples of 12 bits in format 1"),
        (wav(EXTENSIBLE, 1, 8000, 16, b"\0\0"), "samples of 16 bits in format 0"),
        (wav(PCM, 0, 8000, 16, b"\0\0"), "0 channels, expected 1 to 32"),
        (wav(PCM, 33, 8000, 16, bytes(66)), "33 channels"),
        (wav(PCM, 1, 0, 16, b"\0\0"), "0 samples a second, expected 1000 to 384000"),
        (wav(PCM, 1, 8000, 16, b"\0\0", format_bytes=14), "has 14 bytes, expected 16"),
        (b"RIFF\0\0\0\0WAVEdata\x02\0\0\0\0\0", "data before its format"),
        (b"RIFF\0\0\0\0WAVE" + bytes(8) * 20_000, "more than 16384 chunks"),
        (wav(FLOAT, 1, 8000, 32, struct.pack("<f", math.nan)), "not finite"),
        (wav(FLOAT, 1, 8000, 64, struct.pack("<d", 1e300)), "not finite"),
    ],
)
def test_what_cannot_be_read_is_a_422_that_says_why(body: bytes, error: str) -> None:
    with pytest.raises(UnreadablePayloadError, match=error):
        sounds.decode(body)


def test_a_sound_that_is_too_long_is_a_413() -> None:
    with pytest.raises(TooLargeError, match=r"at most 1800 s, got 2000\.0 s"):
        sounds.decode(wav(PCM, 1, 1000, 8, bytes(2_000_000)))
    with pytest.raises(TooLargeError, match="at most 16777216 samples, got 20000000"):
        sounds.decode(wav(PCM, 1, 384_000, 8, bytes(20_000_000)))


@given(st.binary(max_size=80), st.integers(0, 60))
def test_damaged_files_are_errors_of_the_client(noise: bytes, position: int) -> None:
    whole = wav_of(SINE[:10], 8000, PCM, 16)
    try:
        sounds.decode(whole[:12] + whole[12:position] + noise)
    except OnnxletError as error:
        assert 400 <= error.status < 500
