"""Automatic speech recognition: the words of a sound, by the characters that a model gives to its frames (CTC)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import OUTPUT
from onnxlet.contract.tasks.sounds import TOKENS
from onnxlet.errors import InferenceError
from onnxlet.record import EMPTY
from onnxlet.tasks.audio_classification import AudioClassificationTask
from onnxlet.tasks.rows import Parameters, Prediction

if TYPE_CHECKING:
    from onnxlet.contract.tasks.sounds import SpeechRecognition


class SpeechRecognitionTask(AudioClassificationTask):
    """A sound to `{"text"}`; the sound is prepared as for a classifier."""

    PARAMETERS = EMPTY

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the text of the sound.

        Raises:
            InferenceError: the output is not that of the task.
        """
        del parameters
        declaration: SpeechRecognition = self.manifest.task  # type: ignore[assignment]
        output = prediction.outputs[declaration.output]
        expected = (1, len(declaration.vocabulary))
        if len(output.shape) != 3 or (output.shape[0], output.shape[2]) != expected or output.shape[1] == 0:
            raise InferenceError(
                f'output "{declaration.output}": expected scores (1, frames, {expected[1]}), got {output.shape}'
            )
        (tokens,) = self.run_postprocess({OUTPUT.format(0): output}, [TOKENS])
        words = "".join(declaration.vocabulary[token] for token in json_tensors.to_values(tokens))
        prediction.answers = [{"text": " ".join(words.replace(declaration.space, " ").split())}]
