"""Child processes that run a graph: a kernel of ONNX Runtime can end its process instead of raising an error.

A child is a module of this package, run with a folder that both processes read and write.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from onnxlet.contract.tensors import DATATYPES, TensorSpec

Result = TypeVar("Result")

MODEL = "model.onnx"
"""The file of the graph in the shared folder."""
LOG = "log"
"""The file of the child's error stream in the shared folder."""

MAX_LOG_CHARACTERS = 300
MAX_RESULTS = 16
"""Results kept in memory: those for the graphs of one run and their variants. The graphs themselves are not kept."""


class ResultCache(Generic[Result]):
    """The latest results of child processes, because a run passes the gate more than once."""

    def __init__(self) -> None:
        self._results: dict[Hashable, Result] = {}

    def get(self, graph: bytes, question: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the known result for a graph and a question, or what `compute` returns now."""
        key = hashlib.sha256(graph).digest(), question
        if key not in self._results:
            result = compute()
            if len(self._results) == MAX_RESULTS:
                del self._results[next(iter(self._results))]
            self._results[key] = result
        return self._results[key]


def start(module: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a module in a child process that finds the same packages as this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", module, str(folder), *arguments]
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)


def last_words(folder: Path) -> str:
    """Return the end of what the latest child wrote to its error stream."""
    return (folder / LOG).read_text(errors="replace")[-MAX_LOG_CHARACTERS:].strip()


def specs_to_json(specs: Sequence[TensorSpec]) -> list[Any]:
    """Return tensor declarations in the form that `specs_from_json` reads in the other process."""
    return [[spec.name, spec.datatype.name, spec.shape] for spec in specs]


def specs_from_json(specs: Sequence[Any]) -> list[TensorSpec]:
    """Return the tensor declarations that `specs_to_json` wrote."""
    return [
        TensorSpec(name, DATATYPES[datatype], None if shape is None else tuple(shape))
        for name, datatype, shape in specs
    ]


def forbid_core_dumps() -> None:
    """Keep this process from writing a core file when a kernel ends it."""
    with suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
