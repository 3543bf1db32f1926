"""Voice activity detection: the probabilities of speech in the windows of a sound become the parts with speech.

Source: silero-vad 6, `get_speech_timestamps_from_probs`, whose parameters and results these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from onnxlet.contract.tensors import Tensor
from onnxlet.errors import InferenceError
from onnxlet.limits import memory
from onnxlet.record import Record
from onnxlet.tasks import parameters as parsers
from onnxlet.tasks.audio_classification import resampled_count, to_inputs
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows, Sound
from onnxlet.tasks.task import Task

if TYPE_CHECKING:
    from onnxlet.contract.tasks.sounds import VoiceActivity
    from onnxlet.tasks.parameters import Parser

MAX_MS = 60_000
"""The longest duration that a parameter may name, in milliseconds."""

HYSTERESIS = 0.15
"""The distance below the threshold that the probability of silence after speech has."""
LOWEST_THRESHOLD = 0.01

WINDOWS = 3
"""The number of times that the samples are in memory as windows while the model runs."""

DECIMALS = 3
"""Decimals of a time in seconds: a sample at 16 kHz takes 0.06 ms."""


class Rules(Record):
    """The rules by which windows are speech. Durations are in samples."""

    threshold: float
    least_speech: float
    least_silence: float
    padding: float


class VoiceActivityDetectionTask(Task):
    """The task of a model that hears speech."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        "threshold": parsers.number(0, 1),
        "min_speech_duration_ms": parsers.number(0, MAX_MS),
        "min_silence_duration_ms": parsers.number(0, MAX_MS),
        "speech_pad_ms": parsers.number(0, MAX_MS),
    }

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return a sound as a batch.

        Raises:
            UnsupportedMediaError: the row is not a sound.
            InferenceError: the preprocess graph cannot run on the sound.
            TooLargeError, BusyError: there is no memory for the windows.
        """
        if not isinstance(rows, Sound):
            return super().prepare(rows, parameters)
        declaration = self._declaration
        inputs = to_inputs(self, declaration, rows)
        memory.take(WINDOWS * sum(tensor.buffer.nbytes for tensor in inputs.values()))
        return Batch(inputs, 1, is_image=True, context=resampled_count(declaration, rows))

    def align(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Fill sounds up with silence so that those of similar lengths run as one tensor.

        The lengths become powers of two windows, so that no sound takes more than twice its time.
        """
        return [_filled(batch, self._declaration.window) for batch in batches] if len(batches) > 1 else batches

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the answer to the parts with speech: a list of objects with `start` and `end` in seconds.

        Raises:
            InferenceError: the output has another shape.
        """
        declaration, count = self._declaration, prediction.batch.context
        windows = -(-count // declaration.window)
        output = prediction.outputs[declaration.output]
        if output.shape[:1] != (1,) or len(output.shape) != 2 or output.shape[1] < windows:
            raise InferenceError(
                f'output "{declaration.output}": expected (1, {windows}) for {windows} windows, got {output.shape}'
            )
        probabilities = output.buffer.cast("f")[:windows].tolist()
        rate = declaration.sampling_rate
        found = segments(probabilities, declaration.window, count, self._rules(parameters))
        prediction.answers = [
            [{"start": round(start / rate, DECIMALS), "end": round(end / rate, DECIMALS)} for start, end in found]
        ]

    @property
    def _declaration(self) -> VoiceActivity:
        declaration: VoiceActivity = self.manifest.task  # type: ignore[assignment]
        return declaration

    def _rules(self, parameters: Parameters) -> Rules:
        per_ms = self._declaration.sampling_rate / 1000
        return Rules(
            threshold=parameters.get("threshold", self._declaration.threshold),
            least_speech=per_ms * parameters.get("min_speech_duration_ms", 250),
            least_silence=per_ms * parameters.get("min_silence_duration_ms", 100),
            padding=per_ms * parameters.get("speech_pad_ms", 30),
        )


def segments(probabilities: Sequence[float], window: int, count: int, rules: Rules) -> list[tuple[int, int]]:
    """Return the first sample of each part with speech, and the one after its last.

    Args:
        probabilities: The probability of speech in each window.
        window: The samples of a window.
        count: The samples of the sound.
        rules: What counts as speech.
    """
    return _padded(_unpadded(probabilities, window, count, rules), count, rules.padding)


def _unpadded(probabilities: Sequence[float], window: int, count: int, rules: Rules) -> list[tuple[int, int]]:
    lowest = max(rules.threshold - HYSTERESIS, LOWEST_THRESHOLD)
    found: list[tuple[int, int]] = []
    start: int | None = None
    silence: int | None = None  # where the silence began that may end the speech
    for position, probability in zip(range(0, len(probabilities) * window, window), probabilities, strict=True):
        if probability >= rules.threshold:
            start = position if start is None else start
            silence = None
        elif start is not None and probability < lowest:
            silence = silence or position
            if position - silence >= rules.least_silence:
                if silence - start > rules.least_speech:
                    found.append((start, silence))
                start = silence = None
    if start is not None and count - start > rules.least_speech:
        found.append((start, count))
    return found


def _padded(found: Sequence[tuple[int, int]], count: int, padding: float) -> list[tuple[int, int]]:
    """Return parts that are longer on both sides; where the silence between two is too short, they share it."""
    if not found:
        return []
    starts, ends = ([part[side] for part in found] for side in (0, 1))
    starts[0], ends[-1] = int(max(0, starts[0] - padding)), int(min(count, ends[-1] + padding))
    for place, (_, end) in enumerate(found[:-1]):
        following = found[place + 1][0]
        silence = following - end
        added = silence // 2 if silence < 2 * padding else padding
        ends[place], starts[place + 1] = int(min(count, end + added)), int(max(0, following - added))
    return list(zip(starts, ends, strict=True))


def _filled(batch: Batch, window: int) -> Batch:
    """Return a batch whose sound ends with silence, so that it has a power of two windows."""
    inputs: dict[str, Any] = {}
    for name, tensor in batch.inputs.items():
        rows, count = tensor.shape
        if rows != 1:
            return batch  # tensors that the client sent itself
        windows = 1
        while windows * window < count:
            windows *= 2
        silence = bytes((windows * window - count) * tensor.datatype.size_bytes)
        inputs[name] = Tensor(tensor.datatype, (1, windows * window), memoryview(bytes(tensor.buffer) + silence))
    return Batch(inputs, batch.rows, batch.is_image, batch.context)
