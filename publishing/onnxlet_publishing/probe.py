"""Probe: a child process runs a graph on ordinary inputs, then on what may break it; the parent says what ended it.

A kernel of ONNX Runtime can end the process instead of giving an error. A process that serves must not be the first to
find out: whoever may send tensors could send these.
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

from onnxlet import deadline, session
from onnxlet.contract.manifest import Crash
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import ArtifactError, OnnxletError
from onnxlet_publishing import made_up
from onnxlet_publishing.findings import Findings
from onnxlet_publishing.made_up import Case

if TYPE_CHECKING:
    import onnx  # which a child has no time for

logger = logging.getLogger("onnxlet")

MODEL, SPECS, STATE, LOG = "model.onnx", "specs.json", "state", "log"

BUDGET_S = 1.0
"""CPU time of a child for extreme inputs, once it has found ordinary ones; for a slow model up to `MAX_BUDGET_S`."""
BUDGET_RUNS = 5
"""How many ordinary runs a slow model gets the time for."""
MAX_BUDGET_S = 3.0
RUN_S = 2.0
"""The time of one run, as a function's deadline ends it between two nodes."""
HANG_S = 5
"""CPU time after which one run hangs, on top of ten ordinary ones: no deadline has ended it by then."""
ORDINARY_S = 120
"""The same for ordinary inputs, which may be slow."""
PATIENCE_S = 180.0
"""The time of the whole probe, whatever its children do."""

MAX_CHILDREN = 6
"""How often the probe goes on after a child has ended."""
MAX_CRASHES = 4

MEMORY_BYTES = 2 * 1024**3
"""What a child may take besides six times its graph; an ordinary lack of memory is no fault of the model."""
POLL_S = 0.02

ENDS_OF_CHILDREN = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""Signals that come from outside: no kernel sends them."""


@dataclass(frozen=True)
class Probed:
    """What the probe has found."""

    inputs: dict[str, Tensor] | None
    """Ordinary inputs that the model runs on; None where none of those that were tried are."""
    crashes: tuple[Crash, ...] = ()


_findings: Findings[Probed] = Findings()


@dataclass(frozen=True)
class _State:
    """How far a child has come."""

    case: int = 0
    """The number of the case that it ran last."""
    ordinary: int = -1
    """The number of the first ordinary case that the model runs on; -1 where there is none yet."""
    duration_s: float = 0.0
    """How long that ran."""

    FORMAT = "<qqd"

    def write(self, file: int) -> None:
        os.pwrite(file, struct.pack(self.FORMAT, self.case, self.ordinary, self.duration_s), 0)

    @classmethod
    def read(cls, path: Path) -> _State:
        return cls(*struct.unpack(cls.FORMAT, path.read_bytes()))


def probe(data: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> Probed:
    """Run a graph in child processes on inputs of all kinds.

    Args:
        data: The graph, as ONNX.
        inputs: What it takes.
        outputs: The names of what it gives.
    """

    def find() -> Probed:
        with TemporaryDirectory() as folder:
            return _Probe(Path(folder), data, inputs, outputs).run()

    return _findings.get(data, (tuple(inputs), tuple(outputs)), find)


class _Probe:
    """The parent's side: starts children, and finds out what ended them."""

    def __init__(self, folder: Path, data: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> None:
        self._folder, self._data, self._inputs = folder, data, inputs
        self._end_s = time.monotonic() + PATIENCE_S
        self._write(folder, data, outputs)

    def run(self) -> Probed:
        crashes: dict[tuple[str, str | None], Crash] = {}
        state, first = _State(), 0
        for _ in range(MAX_CHILDREN):
            status, state = self._child(self._folder, first, state)
            if status >= 0 or len(crashes) == MAX_CRASHES or self._is_late():
                break
            first = state.case + 1
            if -status not in ENDS_OF_CHILDREN:
                crash = self._examine(state)
                if crash is not None:
                    crashes.setdefault((crash.operator, crash.node), crash)
        ordinary = None if state.ordinary < 0 else _case(self._inputs, state.ordinary, state)
        return Probed(None if ordinary is None else ordinary.inputs(self._inputs), tuple(crashes.values()))

    def _examine(self, state: _State) -> Crash | None:
        """Name the node that ends a child in its last case; None where it does not do so again with more memory."""
        import onnx

        from onnxlet_publishing.walk import nodes_within

        with TemporaryDirectory() as folder:
            status = self._once(Path(folder), self._data, [], state)
            if status >= 0 or -status in ENDS_OF_CHILDREN:
                return None
            graph = inlined(onnx.load_from_string(self._data))
            node = self._culprit(Path(folder), graph, state)
        what = "no end" if -status == signal.SIGXCPU else signal.Signals(-status).name
        case = _case(self._inputs, state.case, state).describe(self._inputs)
        if node is None:
            return Crash("unknown", None, f"{what} where {case}"[:1000])
        nested = sorted({each.op_type for each in nodes_within(node)})
        inside = f" (of a graph with {', '.join(nested)})" if nested else ""
        return Crash(node.op_type, node.name[:200] or None, f"{what}{inside} where {case}"[:1000])

    def _is_late(self) -> bool:
        return time.monotonic() > self._end_s

    def _culprit(self, folder: Path, model: onnx.ModelProto, state: _State) -> onnx.NodeProto | None:
        """Find the first node with which the graph ends a process, by halves; None where that takes too long."""
        survives, dies = 0, len(model.graph.node)
        while dies - survives > 1:
            middle = (survives + dies) // 2
            cut = _cut(model, middle)
            status = self._once(folder, cut.SerializeToString(), list(cut.graph.node[-1].output), state)
            survives, dies = (survives, middle) if status < 0 else (middle, dies)
        node: onnx.NodeProto = model.graph.node[dies - 1]
        return None if self._is_late() else node

    def _once(self, folder: Path, data: bytes, outputs: list[str], state: _State) -> int:
        """Run one case on a graph; without outputs all that the model has."""
        names = outputs or json.loads((self._folder / SPECS).read_text())["outputs"]
        self._write(folder, data, names)
        return self._child(folder, state.case, state, "--once")[0]

    def _write(self, folder: Path, data: bytes, outputs: Sequence[str]) -> None:
        (folder / MODEL).write_bytes(data)
        specs = [[spec.name, spec.datatype.name, spec.shape] for spec in self._inputs]
        (folder / SPECS).write_text(json.dumps({"inputs": specs, "outputs": list(outputs)}))

    def _child(self, folder: Path, first: int, state: _State, *options: str) -> tuple[int, _State]:
        """Run a child to its end; return its exit status and how far it came."""
        file = os.open(folder / STATE, os.O_RDWR | os.O_CREAT)
        _State(first, state.ordinary, state.duration_s).write(file)
        os.close(file)
        command = [sys.executable, "-m", __name__, str(folder), *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with (
            (folder / LOG).open("wb") as log,
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log) as child,
        ):
            self._watch(child)
        if child.returncode > 0 and not options:
            logger.warning("the probe did not run: %s", (folder / LOG).read_text(errors="replace")[-300:].strip())
        return child.returncode, _State.read(folder / STATE)

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for a child, and end it where it takes too much memory or time."""
        bound_bytes = MEMORY_BYTES + 6 * len(self._data)
        while child.poll() is None:
            if self._is_late() or _resident_bytes(child.pid) > bound_bytes:
                child.kill()
            time.sleep(POLL_S)


def _resident_bytes(process: int) -> int:
    """The memory of a process; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions of its own, so that a node is an operator."""
    from onnx.inliner import inline_local_functions

    return inline_local_functions(model) if model.functions else model


def _cut(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """The first nodes of a model, with all that they give as outputs, since what nobody needs would not run."""
    import onnx

    from onnxlet_publishing.walk import nodes_within

    nodes = model.graph.node[:count]
    needed = {name for node in nodes for each in (node, *nodes_within(node)) for name in each.input}
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


def _case(specs: Sequence[TensorSpec], number: int, state: _State) -> Case:
    """The case with a number: ordinary ones first, then, from the one that the model runs on, extreme ones."""
    return next(islice(_cases(specs, state), number, None))


def _cases(specs: Sequence[TensorSpec], state: _State) -> Iterator[Case]:
    ordinary = list(made_up.ordinary(specs))
    yield from ordinary
    yield from made_up.extreme(specs, ordinary[max(0, state.ordinary)].sizes)


class _Child:
    """The child's side: runs cases until the time for them is over."""

    def __init__(self, folder: Path) -> None:
        document = json.loads((folder / SPECS).read_text())
        self._specs = [
            TensorSpec(name, DATATYPES[datatype], None if shape is None else tuple(shape))
            for name, datatype, shape in document["inputs"]
        ]
        self._outputs = document["outputs"]
        self._file = os.open(folder / STATE, os.O_RDWR)
        self._state = _State.read(folder / STATE)
        self._session = session.open_session((folder / MODEL).read_bytes())

    def once(self) -> None:
        """Run the case that the state names."""
        self._run(_case(self._specs, self._state.case, self._state), HANG_S + 10 * self._state.duration_s)

    def all(self) -> None:
        """Run ordinary cases until one succeeds, unless one has, and then the others.

        Memory is bounded, so that what a huge size would take is refused instead of taken. Where a kernel ends the
        process because of that, it does not do so when the case is run once more without the bound.
        """
        _limit_memory()
        first, count = self._state.case, len(list(made_up.ordinary(self._specs)))
        for number in range(first, count if self._state.ordinary < 0 else 0):
            self._note(_State(number))
            started_s = time.process_time()
            if self._run(_case(self._specs, number, self._state), ORDINARY_S):
                self._note(_State(number, number, time.process_time() - started_s))
                break
        duration_s = self._state.duration_s
        end_s = time.process_time() + max(BUDGET_S, min(MAX_BUDGET_S, BUDGET_RUNS * duration_s))
        first = max(first, count)
        for number, case in enumerate(islice(_cases(self._specs, self._state), first, None), first):
            if time.process_time() > end_s:
                return
            self._note(_State(number, self._state.ordinary, duration_s))
            self._run(case, HANG_S + 10 * duration_s)

    def _note(self, state: _State) -> None:
        self._state = state
        state.write(self._file)

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

    with suppress(OSError, ValueError):  # a system without such a limit
        taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + MEMORY_BYTES, resource.RLIM_INFINITY))


def main(folder: str, option: str = "") -> None:
    """Run in a child."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        child = _Child(Path(folder))
    except ArtifactError as error:
        sys.exit(str(error))
    child.once() if option else child.all()


if __name__ == "__main__":
    main(*sys.argv[1:])
