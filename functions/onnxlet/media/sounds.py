"""WAV files to samples: one channel of FP32 numbers from -1 to 1, and the rate at which they were taken.

Source: "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft, 1991); "Multiple Channel
Audio Data and WAVE Files" (Microsoft; `WAVE_FORMAT_EXTENSIBLE`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import add

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import TooLargeError, UnreadablePayloadError
from onnxlet.limits import MAX_CHUNKS, MAX_SOUND_CHANNELS, MAX_SOUND_FRAMES, MAX_SOUND_S, deadline, memory
from onnxlet.record import Record

RATES = (1000, 384_000)
"""The lowest and the highest rate, in samples a second."""

INTEGERS, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE
"""Codes of formats. An extensible format has the code of the format itself in the first bytes of its GUID."""

CODES = {
    (INTEGERS, 8): "B",
    (INTEGERS, 16): "h",
    (INTEGERS, 24): "i",
    (INTEGERS, 32): "i",
    (FLOATS, 32): "f",
    (FLOATS, 64): "d",
}
"""The code of `array` for each format and size in bits; 24 bits become the upper three bytes of 32."""

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Sizes of `data` in a file that was written to a pipe, before its length was known."""

BLOCK_FRAMES = 65_536
"""The number of frames that are converted at a time: as Python's numbers, they take ten times as much memory."""


class _Format(Record):
    """The form of the samples in a file."""

    channels: int
    rate: int
    kind: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        """The size of a frame, which has one sample of each channel."""
        return self.channels * self.bits // 8


def decode(body: bytes) -> tuple[Tensor, int]:
    """Return the samples of a WAV file, and their rate.

    Several channels are averaged. Samples of a file of floats may lie outside -1 to 1.

    Returns:
        The samples, FP32 (samples,), and the number of samples a second.

    Raises:
        UnreadablePayloadError: the file is not a WAV file, is damaged, or has another form of samples.
        TooLargeError: the sound is too long.
    """
    if body[:4] != b"RIFF" or body[8:12] != b"WAVE":
        raise UnreadablePayloadError(f"expected a WAV file, got {len(body)} bytes of another format")
    form, data = _parse(memoryview(body))
    frames = len(data) // form.frame_bytes
    if not frames:
        raise UnreadablePayloadError("the WAV file has no samples")
    _check_length(frames, form.rate)
    memory.take(4 * frames)
    samples = array("f")
    for start in range(0, frames, BLOCK_FRAMES):
        deadline.check()
        stop = min(start + BLOCK_FRAMES, frames)
        samples.extend(_convert(data[start * form.frame_bytes : stop * form.frame_bytes], form))
    if form.kind == FLOATS and not math.isfinite(sum(samples)):
        raise UnreadablePayloadError("the WAV file has samples that are not finite numbers")
    return Tensor(DATATYPES["FP32"], (frames,), memoryview(samples).cast("B")), form.rate


def _parse(body: memoryview) -> tuple[_Format, memoryview]:
    """Return the format and the data of a file, whose other chunks are left out."""
    form, position = None, 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(body):
            raise UnreadablePayloadError("the WAV file has no samples: it ends before its data")
        name, size = bytes(body[position : position + 4]), int.from_bytes(body[position + 4 : position + 8], "little")
        chunk = body[position + 8 : position + 8 + size]
        if name == b"fmt ":
            form = _parse_format(bytes(chunk))
        elif name == b"data":
            if form is None:
                raise UnreadablePayloadError("the WAV file has data before its format")
            if size in UNKNOWN_SIZES:
                return form, body[position + 8 :]
            if len(chunk) < size:
                raise UnreadablePayloadError(f"the WAV file ends after {len(chunk)} of {size} bytes of samples")
            return form, chunk
        position += 8 + size + size % 2
    raise UnreadablePayloadError(f"the WAV file has more than {MAX_CHUNKS} chunks before its data")


def _parse_format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise UnreadablePayloadError(f"the format of the WAV file has {len(chunk)} bytes, expected 16 or more")
    kind, channels, rate, bits = (int.from_bytes(chunk[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (14, 16)))
    if kind == EXTENSIBLE:
        kind = int.from_bytes(chunk[24:26], "little")
    if (kind, bits) not in CODES:
        raise UnreadablePayloadError(
            f"the WAV file has samples of {bits} bits in format {kind}, expected 8, 16, 24 or 32 bits (format 1), or "
            "floats of 32 or 64 bits (format 3)"
        )
    if not 0 < channels <= MAX_SOUND_CHANNELS:
        raise UnreadablePayloadError(f"the WAV file has {channels} channels, expected 1 to {MAX_SOUND_CHANNELS}")
    if not RATES[0] <= rate <= RATES[1]:
        raise UnreadablePayloadError(f"the WAV file has {rate} samples a second, expected {RATES[0]} to {RATES[1]}")
    return _Format(channels, rate, kind, bits)


def _check_length(frames: int, rate: int) -> None:
    if frames > MAX_SOUND_FRAMES:
        raise TooLargeError(f"expected a sound of at most {MAX_SOUND_FRAMES} samples, got {frames}")
    if frames > MAX_SOUND_S * rate:
        raise TooLargeError(f"expected a sound of at most {MAX_SOUND_S} s, got {frames / rate:.1f} s")


def _convert(block: memoryview, form: _Format) -> array[float]:
    """Return the samples of a few frames as one channel."""
    values = _values(block, form)
    factor = (1 if form.kind == FLOATS else 2.0 ** (1 - 8 * values.itemsize)) / form.channels
    shift = 128 * form.channels if values.typecode == "B" else 0  # samples of 8 bits have no sign
    total: Sequence[float] = values[:: form.channels]
    for channel in range(1, form.channels):
        total = list(map(add, total, values[channel :: form.channels]))
    return array("f", total if factor == 1 else [(value - shift) * factor for value in total])


def _values(block: memoryview, form: _Format) -> array[float] | array[int]:
    """Return the numbers of all channels as the file has them, frame by frame."""
    data = bytes(block)
    if form.bits == 24:
        wide = bytearray(len(data) // 3 * 4)
        for place in range(3):
            wide[place + 1 :: 4] = data[place::3]
        data = bytes(wide)
    values: array[float] | array[int] = array(CODES[form.kind, form.bits])
    values.frombytes(data)
    return values
