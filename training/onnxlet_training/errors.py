"""The errors of training, below `onnxlet_publishing.errors.CommandError`.

CommandError
├── DataError            a training set is not what its recipe reads
├── InterruptedRunError  a run ended early and can be resumed
└── JobError             a training job in a cloud failed; `is_retryable` if the cloud did not answer
"""

from onnxlet_publishing.errors import CommandError


class DataError(CommandError):
    """A training set is not what its recipe reads."""


class InterruptedRunError(CommandError):
    """A run ended early; its folder holds the checkpoint from which the same command resumes it."""


class JobError(CommandError):
    """A training job in a cloud failed."""

    def __init__(self, text: str, *, is_retryable: bool = False) -> None:
        super().__init__(text)
        self.is_retryable = is_retryable
