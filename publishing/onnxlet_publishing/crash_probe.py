"""The crash probe: child processes run a graph on ordinary, then on extreme inputs; the parent names what ended them.

A kernel of ONNX Runtime can end its process instead of raising an error. A process that serves must not be the first to
find out, because any client that may send tensors could send these.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from onnxlet import session
from onnxlet.contract.manifest import Crash
from onnxlet.contract.tensors import Tensor, TensorSpec
from onnxlet.errors import ArtifactError, OnnxletError
from onnxlet.limits import deadline
from onnxlet_publishing import child_process, probe_inputs
from onnxlet_publishing.child_process import MODEL, ResultCache
from onnxlet_publishing.probe_inputs import Case

if TYPE_CHECKING:
    import onnx  # too slow to import in a child

logger = logging.getLogger("onnxlet")

SPECS, PROGRESS = "specs.json", "progress"
"""The files through which the two processes communicate, in addition to `MODEL`."""

BUDGET_S = 1.0
"""CPU time of a child for extreme inputs, after the ordinary ones; a slow model gets up to `MAX_BUDGET_S`."""
BUDGET_RUNS = 5
"""Ordinary runs that a slow model gets time for."""
MAX_BUDGET_S = 3.0
RUN_S = 2.0
"""Time of one run, after which a deadline ends it between two nodes, as in a function."""
HANG_S = 5
"""CPU time, in addition to ten ordinary runs, after which a run hangs: the deadline has not ended it by then."""
ORDINARY_S = 120
"""The same for ordinary inputs, which may be slow."""
PATIENCE_S = 180.0
"""Time for the whole probe, including all its children."""

MAX_CHILDREN = 6
"""Children started in total: the probe continues after a child has ended."""
MAX_CRASHES = 4

MEMORY_BYTES = 2 * 1024**3
"""Memory of a child in addition to six times its graph; an ordinary lack of memory is not the model's fault."""
POLL_S = 0.02

EXTERNAL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""Signals that only another process sends: a kernel never ends its process with them."""


@dataclass(frozen=True)
class ProbeResult:
    """Inputs that the model runs on, and crashes that the probe has found."""

    inputs: dict[str, Tensor] | None
    """Ordinary inputs that the model runs on; None if it runs on none of those tried."""
    crashes: tuple[Crash, ...] = ()


_results: ResultCache[ProbeResult] = ResultCache()


@dataclass(frozen=True)
class _Progress:
    """The progress of a child."""

    case: int = 0
    """Number of the case that it ran last."""
    ordinary: int = -1
    """Number of the first ordinary case that the model runs on; -1 if it has not run on any yet."""
    duration_s: float = 0.0
    """Duration of that ordinary case."""

    FORMAT = "<qqd"

    def write(self, file: int) -> None:
        os.pwrite(file, struct.pack(self.FORMAT, self.case, self.ordinary, self.duration_s), 0)

    @classmethod
    def read(cls, path: Path) -> _Progress:
        return cls(*struct.unpack(cls.FORMAT, path.read_bytes()))


def probe(data: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> ProbeResult:
    """Run a graph in child processes on inputs of all kinds.

    Args:
        data: The graph, as ONNX.
        inputs: The declarations of its inputs.
        outputs: The names of its outputs.
    """

    def run() -> ProbeResult:
        with TemporaryDirectory() as folder:
            return _Probe(Path(folder), data, inputs, outputs).run()

    return _results.get(data, (tuple(inputs), tuple(outputs)), run)


class _Probe:
    """The parent's side: it starts children and determines what ended them."""

    def __init__(self, folder: Path, data: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> None:
        self._folder, self._data, self._inputs, self._outputs = folder, data, inputs, outputs
        self._end_s = time.monotonic() + PATIENCE_S
        self._write(folder, data, outputs)

    def run(self) -> ProbeResult:
        crashes: dict[tuple[str, str | None], Crash] = {}
        progress, first = _Progress(), 0
        for _ in range(MAX_CHILDREN):
            status, progress = self._run_child(self._folder, first, progress)
            if status >= 0 or len(crashes) == MAX_CRASHES or self._is_late():
                break
            first = progress.case + 1
            if -status not in EXTERNAL_SIGNALS:
                crash = self._examine(progress)
                if crash is not None:
                    crashes.setdefault((crash.operator, crash.node), crash)
        ordinary = None if progress.ordinary < 0 else _case(self._inputs, progress.ordinary, progress)
        return ProbeResult(None if ordinary is None else ordinary.inputs(self._inputs), tuple(crashes.values()))

    def _examine(self, progress: _Progress) -> Crash | None:
        """Name the node that ends a child in its last case; return None if that does not recur with more memory."""
        import onnx

        from onnxlet_publishing.graph_walk import inlined, nodes_within

        with TemporaryDirectory() as folder:
            status = self._repeat(Path(folder), self._data, self._outputs, progress)
            if status >= 0 or -status in EXTERNAL_SIGNALS:
                return None
            graph = inlined(onnx.load_from_string(self._data))
            node = self._find_node(Path(folder), graph, progress)
        event = "no end" if -status == signal.SIGXCPU else signal.Signals(-status).name
        case = _case(self._inputs, progress.case, progress).describe(self._inputs)
        if node is None:
            return Crash("unknown", None, f"{event} if {case}"[:1000])
        nested = sorted({inner.op_type for inner in nodes_within(node)})
        inside = f" (in a graph with {', '.join(nested)})" if nested else ""
        return Crash(node.op_type, node.name[:200] or None, f"{event}{inside} if {case}"[:1000])

    def _is_late(self) -> bool:
        return time.monotonic() > self._end_s

    def _find_node(self, folder: Path, model: onnx.ModelProto, progress: _Progress) -> onnx.NodeProto | None:
        """Find the first node with which the graph ends a process, by bisection; return None if that takes too long."""
        survives, dies = 0, len(model.graph.node)
        while dies - survives > 1:
            middle = (survives + dies) // 2
            part = _first_nodes(model, middle)
            status = self._repeat(folder, part.SerializeToString(), list(part.graph.node[-1].output), progress)
            survives, dies = (survives, middle) if status < 0 else (middle, dies)
        node: onnx.NodeProto = model.graph.node[dies - 1]
        return None if self._is_late() else node

    def _repeat(self, folder: Path, data: bytes, outputs: Sequence[str], progress: _Progress) -> int:
        """Run a child's last case on a graph in another child; return its exit status."""
        self._write(folder, data, outputs)
        return self._run_child(folder, progress.case, progress, "--once")[0]

    def _write(self, folder: Path, data: bytes, outputs: Sequence[str]) -> None:
        (folder / MODEL).write_bytes(data)
        document = {"inputs": child_process.specs_to_json(self._inputs), "outputs": list(outputs)}
        (folder / SPECS).write_text(json.dumps(document))

    def _run_child(self, folder: Path, first: int, progress: _Progress, *options: str) -> tuple[int, _Progress]:
        """Run a child to its end; return its exit status and how far it came."""
        file = os.open(folder / PROGRESS, os.O_RDWR | os.O_CREAT)
        _Progress(first, progress.ordinary, progress.duration_s).write(file)
        os.close(file)
        with child_process.start(__name__, folder, *options) as child:
            self._watch(child)
        if child.returncode > 0 and not options:
            logger.warning("the crash probe did not run: %s", child_process.last_words(folder))
        return child.returncode, _Progress.read(folder / PROGRESS)

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for a child, and end it if it takes too much memory or time."""
        bound_bytes = MEMORY_BYTES + 6 * len(self._data)
        while child.poll() is None:
            if self._is_late() or _resident_bytes(child.pid) > bound_bytes:
                child.kill()
            time.sleep(POLL_S)


def _resident_bytes(process: int) -> int:
    """Return the resident memory of a process; 0 if the system does not report it."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _first_nodes(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """Return a model of the first nodes, with all their results as outputs: an unused result would not be computed."""
    import onnx

    from onnxlet_publishing.graph_walk import nodes_within

    nodes = model.graph.node[:count]
    needed = {name for node in nodes for inner in (node, *nodes_within(node)) for name in inner.input}
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for node in nodes for name in node.output if name]
    graph = onnx.helper.make_graph(
        nodes,
        model.graph.name,
        model.graph.input,
        outputs,
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
        sparse_initializer=[tensor for tensor in model.graph.sparse_initializer if tensor.values.name in needed],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _case(specs: Sequence[TensorSpec], number: int, progress: _Progress) -> Case:
    """Return a case by its number: ordinary cases come first, then extreme ones based on the one that ran."""
    return next(islice(_cases(specs, progress), number, None))


def _cases(specs: Sequence[TensorSpec], progress: _Progress) -> Iterator[Case]:
    ordinary = list(probe_inputs.ordinary(specs))
    yield from ordinary
    yield from probe_inputs.extreme(specs, ordinary[max(0, progress.ordinary)].sizes)


class _Child:
    """The child's side: it runs cases until its time is over."""

    def __init__(self, folder: Path) -> None:
        document = json.loads((folder / SPECS).read_text())
        self._specs = child_process.specs_from_json(document["inputs"])
        self._outputs = document["outputs"]
        self._file = os.open(folder / PROGRESS, os.O_RDWR)
        self._progress = _Progress.read(folder / PROGRESS)
        self._session = session.open_session((folder / MODEL).read_bytes())

    def run_one(self) -> None:
        """Run the last case of the recorded progress."""
        case = _case(self._specs, self._progress.case, self._progress)
        self._run(case, HANG_S + 10 * self._progress.duration_s)

    def run_all(self) -> None:
        """Run ordinary cases until one succeeds, unless one already has, and then extreme cases.

        Memory is bounded, so that an allocation for a huge size fails instead of succeeding. If a kernel ends the
        process because of the bound, it does not do so when the case runs once more without the bound.
        """
        _limit_memory()
        first, count = self._progress.case, len(list(probe_inputs.ordinary(self._specs)))
        for number in range(first, count if self._progress.ordinary < 0 else 0):
            self._record(_Progress(number))
            started_s = time.process_time()
            if self._run(_case(self._specs, number, self._progress), ORDINARY_S):
                self._record(_Progress(number, number, time.process_time() - started_s))
                break
        duration_s = self._progress.duration_s
        end_s = time.process_time() + max(BUDGET_S, min(MAX_BUDGET_S, BUDGET_RUNS * duration_s))
        first = max(first, count)
        for number, case in enumerate(islice(_cases(self._specs, self._progress), first, None), first):
            if time.process_time() > end_s:
                return
            self._record(_Progress(number, self._progress.ordinary, duration_s))
            self._run(case, HANG_S + 10 * duration_s)

    def _record(self, progress: _Progress) -> None:
        self._progress = progress
        progress.write(self._file)

    def _run(self, case: Case, hang_s: float) -> bool:
        """Run a case; return whether the model could run on it."""
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + hang_s) + 1, hard))
        try:
            with deadline.within(max(RUN_S, hang_s / 2)):
                self._session.run(case.inputs(self._specs), self._outputs)
        except (OnnxletError, MemoryError):
            return False
        return True


def _limit_memory() -> None:
    import resource

    with suppress(OSError, ValueError):  # not every system has this limit
        taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + MEMORY_BYTES, resource.RLIM_INFINITY))


def main(folder: str, option: str = "") -> None:
    """Run the probe in the child process."""
    child_process.forbid_core_dumps()
    try:
        child = _Child(Path(folder))
    except ArtifactError as error:
        sys.exit(str(error))
    child.run_one() if option else child.run_all()


if __name__ == "__main__":
    main(*sys.argv[1:])
