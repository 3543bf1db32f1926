"""The ONNX Runtime session: the only room that knows how ONNX Runtime is called.

The engine is the C API of the wheel's own library, which needs neither numpy nor the wheel's Python package; where the
library is not found, it is that package.
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
                InferenceError: ONNX Runtime gave up on these tensors.
                DeadlineError: the time was over before the end.
            """


# Wheels from 1.29 on report to Microsoft by default, from the moment they are loaded (onnxruntime PR #27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_session(data: bytes | memoryview, threads: int = 1, *, is_ort: bool = False) -> Session:
    """Load a graph.

    Args:
        data: The graph; nobody writes to it any more.
        threads: How many a run may use.
        is_ort: Whether it is in ONNX Runtime's own format, optimised already, and not ONNX.

    Raises:
        ArtifactError: ONNX Runtime does not load it; the text says why.
    """
    session: Session = engine().Session(data, threads, is_ort=is_ort)
    return session


def prepare() -> None:
    """Load ONNX Runtime, which takes most of the time of a first session.

    Raises:
        ArtifactError: its library cannot be loaded.
    """
    engine().prepare()


@cache
def runtime() -> Runtime:
    """What graphs are loaded with here; ONNX Runtime itself is not loaded to know it, where its library is found."""
    path = library.find()
    version = engine().VERSION if path is None else path.rpartition(library.PREFIX)[2]
    return Runtime(version, cpu_class())


def cpu_class() -> str:
    """The class of this machine's CPUs: those of one class share the layout that ONNX Runtime gives to weights.

    Source: onnxruntime, `mlas/lib/platform.cpp`: blocks of 16 channels with AVX-512F, else of 8.
    """
    machine = os.uname().machine if hasattr(os, "uname") else "unknown"
    if machine != "x86_64":
        return machine
    return f"{machine}-nchwc{16 if 'avx512f' in _cpu_flags() else 8}"


def _cpu_flags() -> list[str]:
    """What Linux says that the first CPU can do; nothing elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:
        return []


def engine() -> ModuleType:
    """The module that calls ONNX Runtime."""
    if library.find() is None:
        from onnxlet.session import python  # numpy, and the wheel's Python package

        return python
    from onnxlet.session import native  # ctypes

    return native
