"""ONNX Runtime's shared library, which lies in the wheel next to its Python package."""

import os
import sys
from functools import cache

FOLDER = os.path.join("onnxruntime", "capi")
PREFIX = "libonnxruntime.so."
"""The beginning of the library's file name; ONNX Runtime's version follows."""


@cache
def find() -> str | None:
    """Return the library's path in the first folder of `sys.path` that has the wheel; None if it is not found."""
    for entry in sys.path:
        folder = os.path.join(entry, FOLDER)
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        library = next((name for name in sorted(names) if name.startswith(PREFIX)), None)
        return None if library is None else f"{folder}/{library}"
    return None
