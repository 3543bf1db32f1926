"""Where ONNX Runtime's shared library is: in the wheel, beside the Python package that it is not needed by."""

import os
import sys
from functools import cache

FOLDER = os.path.join("onnxruntime", "capi")
PREFIX = "libonnxruntime.so."
"""What follows in its name is ONNX Runtime's version."""


@cache
def find() -> str | None:
    """Where the library is, in the first folder of `sys.path` that has the wheel; None where none has."""
    for entry in sys.path:
        folder = os.path.join(entry, FOLDER)
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        found = next((name for name in sorted(names) if name.startswith(PREFIX)), None)
        return None if found is None else f"{folder}/{found}"
    return None
