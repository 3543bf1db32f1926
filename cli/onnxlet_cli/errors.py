"""The errors of the command's own work, below `onnxlet_publishing.errors.CommandError`.

CommandError
├── ToolError            a program that the command runs (sam, terraform, npm, pip) failed
├── PackageError         a package, or a wheel for it, is not what a cloud can run
├── DeploymentError      a deployment, or a part of it, failed or cannot be changed as requested
├── ServiceError         a server that the command asked (an API, a deployed function) failed to answer
├── FreshProcessError    a process that the benchmark started did not answer
└── WrongAnswerError     a process that the benchmark started answered wrongly
"""

from onnxlet_publishing.errors import CommandError


class ToolError(CommandError):
    """A program that the command runs failed."""


class PackageError(CommandError):
    """A package, or a wheel for it, is not what a cloud can run."""


class DeploymentError(CommandError):
    """A deployment, or a part of it, failed or cannot be changed as requested."""


class ServiceError(CommandError):
    """A server that the command asked failed to answer, or gave another answer than expected."""

    def __init__(self, text: str, *, url: str | None = None, status: int | None = None) -> None:
        super().__init__(text)
        self.url = url
        self.status = status

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status == 429 or self.status >= 500


class FreshProcessError(CommandError):
    """A process that the benchmark started did not answer."""


class WrongAnswerError(CommandError):
    """A process that the benchmark started answered wrongly, so that its time says nothing."""
