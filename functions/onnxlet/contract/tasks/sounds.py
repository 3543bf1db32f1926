"""Tasks of sounds: at which rate and of which length a model takes its samples."""

from __future__ import annotations

from onnxlet.contract.artifact import Role
from onnxlet.contract.document import Document
from onnxlet.contract.tasks.declaration import Declaration

MAX_RATE = 384_000
"""Samples a second that a model takes: the highest rate of a recorder."""

MAX_SAMPLES = 2**31 - 1
"""Samples that a declaration may name: those that one dimension of a tensor can have."""


TOKENS = "tokens"
"""Output of the postprocess graph for speech: the classes of the characters, INT64 (n,)."""


class SoundTask(Declaration):
    """A task whose model takes the samples of a sound.

    The preprocess graph resamples the sound, and gives the model's only input the shape that it needs.
    """

    sampling_rate: int
    """The rate that the model takes, in samples a second."""

    @property
    def takes(self) -> str:
        """The kind of payload that a person sends."""
        return "sound"

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs in addition to the model's graph."""
        return ("preprocess",)


class WholeSound(SoundTask):
    """A task whose model takes a whole sound at once."""

    length: int | None = None
    """The samples that the model takes: a shorter sound is filled up with zeros. None for any number."""
    max_length: int | None = None
    """The most samples that the model takes; None without a limit."""
    normalizes: bool = False
    """Whether the samples get the mean 0 and the variance 1, as Wav2Vec2's models expect."""


class AudioClassification(WholeSound):
    """Labels for a sound, by the manifest's classification."""


class SpeechRecognition(WholeSound):
    """The words of a sound, by a model that gives the scores of a character for each frame (CTC).

    The output has the shape (batch, frames, vocabulary). Source: Graves et al. 2006, "Connectionist Temporal
    Classification".
    """

    output: str = "logits"
    """The name of the output."""
    vocabulary: tuple[str, ...] = ()
    """One character or token for each class, in the order of the output."""
    blank: int = 0
    """The class of a frame without a character of its own; it separates equal characters."""
    space: str = "|"
    """The token that stands between words."""

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads."""
        return (self.output,)

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs in addition to the model's graph."""
        return ("preprocess", "postprocess")


class VoiceActivity(SoundTask):
    """The parts of a sound with speech.

    The model takes FP32 (batch, samples), and returns the probability of speech in each window, FP32 (batch, windows).
    Zeros at the end of a sound do not change the probabilities of the windows before them.
    """

    output: str
    """The name of the output with the probabilities."""
    window: int
    """The samples of a window."""
    threshold: float = 0.5
    """The lowest probability of speech, unless a request has another."""

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads."""
        return (self.output,)


def parse(document: Document) -> SoundTask:
    """Read the declaration of a task of sounds.

    Raises:
        ManifestError: a field is malformed.
    """
    name, rate = document.text("name"), document.integer("sampling_rate", 1, MAX_RATE)
    if name == "voice-activity-detection":
        return VoiceActivity(
            name,
            rate,
            output=document.text("output"),
            window=document.integer("window", 1, MAX_SAMPLES),
            threshold=_probability(document, "threshold", default=0.5),
        )
    normalizes = document.content.get("normalizes", False)
    if not isinstance(normalizes, bool):
        raise document.error("normalizes", "true or false")
    form = (_samples(document, "length"), _samples(document, "max_length"), normalizes)
    if name == "audio-classification":
        return AudioClassification(name, rate, *form)
    vocabulary = document.texts("vocabulary")
    if not vocabulary:
        raise document.error("vocabulary", "at least one token")
    return SpeechRecognition(
        name,
        rate,
        *form,
        output=document.text("output"),
        vocabulary=vocabulary,
        blank=document.integer("blank", 0, len(vocabulary) - 1),
        space=document.text("space"),
    )


def _samples(document: Document, field: str) -> int | None:
    return document.integer(field, 1, MAX_SAMPLES) if document.has(field) else None


def _probability(document: Document, field: str, default: float) -> float:
    if not document.has(field):
        return default
    value = document.number(field)
    if not 0 <= value <= 1:
        raise document.error(field, "a number from 0 to 1")
    return value
