"""A cloud's tool as a child process, with its output read line by line while it runs."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlet_publishing.errors import MachineError

Report = Callable[[str], None]
"""A function that shows the user a line of progress."""

WIDTH_COLUMNS = 300
"""The width of the tables that tools print: narrower ones break the names that the command reads in them."""


@dataclass(frozen=True)
class Finished:
    """The end of a tool's run."""

    code: int
    text: str
    """Everything that the tool printed."""

    @property
    def is_ok(self) -> bool:
        """Whether the tool succeeded."""
        return self.code == 0

    def last_error(self) -> str:
        """Return the last line that begins with `Error:`, or else the last line."""
        lines = [line.strip(" \t│╷╵") for line in self.text.splitlines()]
        lines = [line for line in lines if line]
        errors = [line for line in lines if line.startswith("Error:")]
        return (errors or lines or ["it says nothing"])[-1].removeprefix("Error:").strip()


def silent(_line: str) -> None:
    """Ignore a line of progress."""


def run_tool(
    command: Sequence[str], folder: Path, environment: Mapping[str, str | None] | None = None, on_line: Report = silent
) -> Finished:
    """Run a tool to its end in a folder; call `on_line` with each line as the tool prints it.

    The environment adds variables to this process's own; None removes a variable.

    Raises:
        MachineError: the executable does not exist, or cannot be run.
    """
    lines = []
    variables: dict[str, str | None] = {**os.environ, "COLUMNS": str(WIDTH_COLUMNS), **(environment or {})}
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise MachineError(f"{command[0]}: cannot be run: {error.strerror}") from error
    with process:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            lines.append(line)
            on_line(line.rstrip())
    return Finished(process.returncode, "".join(lines))
