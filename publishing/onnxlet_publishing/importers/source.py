"""Sources: the files of one model that a user brings."""

import re
from dataclasses import dataclass
from pathlib import Path

from onnxlet_publishing.errors import UsageError

MAX_NAME = 63
"""Characters in a model's name."""


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
    others: int = 0
    """The number of other ONNX files from which this one was chosen."""


def file_name(stem: str) -> str:
    """Return the name of a plain file as the name of a model, which may be an impossible one."""
    return stem.lower().replace(" ", "-")


def possible_name(text: str) -> str:
    """Return the name of a folder or a repository as a name that a model may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:MAX_NAME].rstrip("-._") or "model"


def read_bytes(path: Path) -> bytes:
    """Read a file that the user named.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
