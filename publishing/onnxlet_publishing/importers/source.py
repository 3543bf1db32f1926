"""Sources: the files of one model that a user brings."""

import re
from dataclasses import dataclass
from pathlib import Path

from onnxlet_publishing.errors import UsageError


@dataclass(frozen=True)
class Source:
    """One model that a user brings: its ONNX file, and perhaps a folder whose other files describe it."""

    file: Path
    """The ONNX file."""
    name: str
    """The name of the model unless the user gives another."""
    origin: str
    """The source in the version's provenance: the file's name, or the repository with its commit."""
    folder: Path | None = None
    """The folder with a description of the model in Hugging Face's form; None without one."""


def to_name(text: str) -> str:
    """Return the name of a file or a repository as the name of a model, which may still be an impossible one."""
    return re.sub(r"[ /]+", "-", text.lower())


def read_bytes(path: Path) -> bytes:
    """Read a file that the user named.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
