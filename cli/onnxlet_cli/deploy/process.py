"""A tool of a cloud as a child process, whose lines are read while it works."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import SettingsError

Report = Callable[[str], None]
"""Takes a line at each step."""

WIDTH_COLUMNS = 300
"""Of the tables that tools print: narrower ones break the names that we read in them."""


@dataclass(frozen=True)
class Finished:
    """What a tool has done."""

    code: int
    text: str
    """All that it said."""

    @property
    def is_ok(self) -> bool:
        """Whether it did what it was asked."""
        return self.code == 0

    def last_error(self) -> str:
        """The line that says what is wrong, as far as tools say so in one."""
        lines = [line.strip(" \t│╷╵") for line in self.text.splitlines()]
        lines = [line for line in lines if line]
        errors = [line for line in lines if line.startswith("Error:")]
        return (errors or lines or ["it says nothing"])[-1].removeprefix("Error:").strip()


def silent(_line: str) -> None:
    """Let a line go."""


def run_tool(
    command: Sequence[str], folder: Path, environment: Mapping[str, str | None] | None = None, on_line: Report = silent
) -> Finished:
    """Run a tool to its end.

    Args:
        command: The executable and its arguments.
        folder: Where it runs.
        environment: Variables beside those of this process; None takes one of these out.
        on_line: Takes each line as it comes.

    Raises:
        SettingsError: there is no such executable, or it cannot be run.
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
        raise SettingsError(f"{command[0]}: cannot be run: {error.strerror}") from error
    with process:
        assert process.stdout is not None, "it was asked for"
        for line in process.stdout:
            lines.append(line)
            on_line(line.rstrip())
    return Finished(process.returncode, "".join(lines))
