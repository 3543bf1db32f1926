"""The errors of the command: what a user of `onnxlet` reads when a command cannot do its work.

`onnxlet.errors` is for what a function answers; the command raises these.

CommandError
├── UsageError           an option, a file or a name that the user gave is wrong
├── ModelError           a model that the user brings cannot be published
├── MachineError         this machine lacks something: a library, a GPU, a port, a permission, disk space
└── AccountError         the cloud does not accept this user's credentials, or the user has none

`onnxlet_training.errors` and `onnxlet_cli.errors` add those of their own work below `CommandError`.
"""

from onnxlet.errors import one_line


class CommandError(Exception):
    """Any error that a command raises on purpose; its text is one line that says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class UsageError(CommandError):
    """An option, a file or a name that the user gave is wrong."""


class ModelError(CommandError):
    """A model that the user brings cannot be published."""


class MachineError(CommandError):
    """This machine lacks something that the command needs."""


class AccountError(CommandError):
    """The cloud does not accept this user's credentials, or the user has none."""
