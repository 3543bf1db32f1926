"""Provenance: the code and the libraries that made a model."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("keras", "numpy", "onnx", "onnxruntime", "tf2onnx")
BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}


def frameworks(framework: str) -> dict[str, str]:
    """Return the versions of Python, of the libraries and of the framework: `keras` with its backend, or `torch`."""
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
    """Return the commit of this code, with `-dirty` if files have changed since; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
