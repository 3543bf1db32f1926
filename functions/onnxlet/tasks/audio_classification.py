"""Audio classification: a sound becomes samples at the model's rate; the manifest's classification gives its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract.declarations import PREPROCESS_OUTPUT
from onnxlet.contract.tasks.declaration import RATE, SAMPLES
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import TooLargeError
from onnxlet.limits import memory
from onnxlet.tasks import classification
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows, Sound
from onnxlet.tasks.task import Task

if TYPE_CHECKING:
    from onnxlet.contract.tasks.sounds import AudioClassification, SoundTask

FORMS = 4
"""The number of times that the longer form of a sound is in memory while it is resampled, at most."""


class AudioClassificationTask(Task):
    """The task of a model that labels sounds."""

    PARAMETERS = classification.PARAMETERS

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return a sound as a batch.

        Raises:
            UnsupportedMediaError: the row is not a sound.
            TooLargeError: the sound is longer than the model takes.
            InferenceError: the preprocess graph cannot run on the sound.
        """
        if not isinstance(rows, Sound):
            return super().prepare(rows, parameters)
        declaration: AudioClassification = self.manifest.task  # type: ignore[assignment]
        most = declaration.length or declaration.max_length
        count = resampled_count(declaration, rows)
        if most is not None and count > most:
            rate = declaration.sampling_rate
            raise TooLargeError(
                f'model "{self.manifest.model}" takes a sound of at most {most / rate:.2f} s, got {count / rate:.2f} s'
            )
        return Batch(to_inputs(self, declaration, rows), 1, is_image=True, context=count)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Apply another function than the declared one to the output, if the client asks for that."""
        classification.apply_function(self.manifest, prediction, parameters)


def to_inputs(task: Task, declaration: SoundTask, sound: Sound) -> dict[str, Tensor]:
    """Run the preprocess graph on a sound and return the model's only input.

    Raises:
        InferenceError: the graph cannot run on the sound.
    """
    rate = Tensor(DATATYPES["INT64"], (1,), memoryview(sound.sampling_rate.to_bytes(8, "little")))
    longest = max(resampled_count(declaration, sound), sound.samples.shape[0])
    with memory.taken(FORMS * 4 * longest):
        (tensor,) = task.run_preprocess({SAMPLES: sound.samples, RATE: rate}, [PREPROCESS_OUTPUT])
    return {task.manifest.inputs[0].name: tensor}


def resampled_count(declaration: SoundTask, sound: Sound) -> int:
    """Return how many samples a sound has at the model's rate; a resampler may round differently."""
    return -(-sound.samples.shape[0] * declaration.sampling_rate // sound.sampling_rate)
