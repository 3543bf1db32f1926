"""JSON files that the user names."""

import json
from pathlib import Path
from typing import Any

from onnxlet_publishing.errors import UsageError


def read_object(path: Path, expected: str) -> dict[str, Any]:
    """Read a file that holds a JSON object; an error names what the user was expected to give.

    Raises:
        UsageError: The file cannot be read, or does not hold a JSON object.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected {expected}, got: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: expected {expected}, got {type(document).__name__} instead of a JSON object")
    return document
