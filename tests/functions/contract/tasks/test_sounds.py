import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.tasks import parse_task
from onnxlet.contract.tasks.sounds import AudioClassification, SoundTask, VoiceActivity
from onnxlet.errors import ManifestError

TASKS = [
    AudioClassification("audio-classification", 16_000, 48_000, 48_000, True),
    AudioClassification("audio-classification", 44_100),
    VoiceActivity("voice-activity-detection", 16_000, "probabilities", 512, 0.4),
]


@pytest.mark.parametrize("task", TASKS)
def test_a_declaration_survives_being_written_and_read(task: SoundTask) -> None:
    assert parse_task(Document(task.to_document(), "task")) == task


def test_most_settings_may_be_left_out() -> None:
    assert parse_task(Document({"name": "audio-classification", "sampling_rate": 44_100}, "task")) == TASKS[1]
    speech = {"name": "voice-activity-detection", "sampling_rate": 8000, "output": "y", "window": 256}
    found = parse_task(Document(speech, "task"))
    assert isinstance(found, VoiceActivity)
    assert found.threshold == 0.5


def test_it_names_the_tensors_and_artifacts_that_it_needs() -> None:
    assert [(task.takes, task.inputs(), task.outputs(), task.roles()) for task in TASKS] == [
        ("sound", (), (), ("preprocess",)),
        ("sound", (), (), ("preprocess",)),
        ("sound", (), ("probabilities",), ("preprocess",)),
    ]


@pytest.mark.parametrize(
    ("task", "field", "value", "error"),
    [
        (TASKS[0], "sampling_rate", 0, "sampling_rate: expected an integer from 1 to 384000"),
        (TASKS[0], "length", 0, "length: expected an integer from 1"),
        (TASKS[0], "max_length", "long", "max_length: expected an integer"),
        (TASKS[0], "normalizes", "yes", "normalizes: expected true or false, got 'yes'"),
        (TASKS[0], "window", 512, "'window' is unknown"),
        (TASKS[2], "length", 512, "'length' is unknown"),
        (TASKS[2], "window", 0, "window: expected an integer from 1"),
        (TASKS[2], "threshold", 2, "threshold: expected a number from 0 to 1, got 2"),
    ],
)
def test_a_field_that_is_malformed_or_unknown_is_refused(
    task: SoundTask, field: str, value: object, error: str
) -> None:
    with pytest.raises(ManifestError, match=error):
        parse_task(Document({**task.to_document(), field: value}, "task"))
