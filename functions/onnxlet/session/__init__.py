"""Sessions of ONNX Runtime, which only this package calls.

The native engine calls the C API of the wheel's shared library, which needs neither numpy nor the wheel's Python code.
If the library is not found, the engine in Python uses that code.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from onnxlet.contract.blob import Runtime
from onnxlet.session import library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType
    from typing import Protocol

    from onnxlet.contract.tensors import Tensor

    class Session(Protocol):
        """One loaded ONNX graph. Safe for threads."""

        def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
            """Run the graph on checked tensors.

            Returns:
                The tensors named by `outputs`, in that order.

            Raises:
                InferenceError: ONNX Runtime cannot run the graph on these tensors.
                DeadlineError: the run did not end in time.
            """


# Wheels since 1.29 send telemetry to Microsoft as soon as they are loaded (onnxruntime PR #27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_session(data: bytes | memoryview, threads: int = 1, *, is_ort: bool = False) -> Session:
    """Load a graph.

    Args:
        data: The graph, which must not change afterwards.
        threads: The number of threads that a run may use.
        is_ort: Whether the graph is in ONNX Runtime's own format, already optimized, and not in ONNX.

    Raises:
        ArtifactError: ONNX Runtime cannot load the graph; the text says why.
    """
    session: Session = engine().Session(data, threads, is_ort=is_ort)
    return session


def prepare() -> None:
    """Load ONNX Runtime, which takes most of the time of a first session.

    Raises:
        ArtifactError: ONNX Runtime's library cannot be loaded.
    """
    engine().prepare()


@cache
def runtime() -> Runtime:
    """Return ONNX Runtime's version and the class of this CPU, without loading its library if that is found."""
    path = library.find()
    version = engine().VERSION if path is None else path.rpartition(library.PREFIX)[2]
    return Runtime(version, cpu_class())


def cpu_class() -> str:
    """Return the class of this machine's CPU: CPUs of one class share ONNX Runtime's layout of weights.

    Source: onnxruntime, `mlas/lib/platform.cpp`: blocks of 16 channels with AVX-512F, else of 8.
    """
    machine = os.uname().machine if hasattr(os, "uname") else "unknown"
    if machine != "x86_64":
        return machine
    return f"{machine}-nchwc{16 if 'avx512f' in _cpu_flags() else 8}"


def _cpu_flags() -> list[str]:
    """Return the features of the first CPU as Linux names them; an empty list on other systems."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:
        return []


def engine() -> ModuleType:
    """Return the module that calls ONNX Runtime."""
    if library.find() is None:
        from onnxlet.session import python  # numpy, and the wheel's Python package

        return python
    from onnxlet.session import native  # ctypes

    return native
