"""Provenance: which code and which libraries made a model."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("keras", "numpy", "onnx", "onnxruntime", "tf2onnx")
BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}


def frameworks(framework: str) -> dict[str, str]:
    """The versions of Python, the libraries and the framework that trained: `keras` with its backend, or `torch`."""
    backend = framework
    if framework == "keras":
        import keras

        backend = keras.backend.backend()
    versions = {"python": platform.python_version(), "backend": backend}
    for distribution in (*LIBRARIES, *BACKENDS.get(backend, ())):
        try:
            versions[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_revision() -> str | None:
    """The commit of this code, with `-dirty` where files were changed since; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
