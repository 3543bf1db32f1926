"""Optimize: each graph of a candidate also in ONNX Runtime's own format, which a function uses as it lies in memory.

Source: onnxruntime, "ORT model format" and "Graph optimizations": EXTENDED is the same on all CPUs, ALL lays the
weights of convolutions out for the CPU of the machine that it runs on.
"""

import logging
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime as ort

from onnxlet import session
from onnxlet.contract.artifact import ORT, Artifact, Role
from onnxlet.contract.blob import MAX_BLOB_BYTES
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.models.loading import golden_difference
from onnxlet.session.options import LOGGED_SEVERITY

logger = logging.getLogger("onnxlet")

EXTENDED = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
ALL = ort.GraphOptimizationLevel.ORT_ENABLE_ALL

MAX_GROWTH = 1.5
"""Of a file by its optimization: a constant that was folded may be larger than what makes it, and must be fetched."""
FIXED_BYTES = 64 * 1024
"""That the format may take for itself."""

MIN_GAIN = 1.4
"""How many times as fast a layout for one class of CPUs must be as the portable graph: a function that starts first
holds it to the golden example, which is a run that a request waits for."""

ROUNDS = 15
"""Of the comparison: one run of each in turn."""


@dataclass(frozen=True)
class GraphForm:
    """A graph of a candidate, as it is published."""

    role: Role
    variant: str
    data: bytes
    format: str = "onnx"
    cpu: str | None = None

    def artifact(self) -> Artifact:
        """What the manifest says of it."""
        runtime = ort.__version__ if self.format == ORT else None
        return Artifact.of(self.role, self.variant, self.data, self.format, runtime, self.cpu)


def optimize(graph: GraphForm, golden: Golden | None) -> list[GraphForm]:
    """The forms of an ONNX graph that this version of ONNX Runtime loads sooner; none where there is no gain.

    Args:
        graph: The graph, as ONNX.
        golden: What every form of it must answer; without one only the portable form is made.
    """
    portable = _convert(graph.data, EXTENDED)
    if portable is None or not _answers(portable, golden):
        return []
    found = [GraphForm(graph.role, graph.variant, portable, ORT)]
    if golden is not None and golden.compared and _has_convolutions(graph.data):
        laid_out = _convert(graph.data, ALL)
        if laid_out is not None and _answers(laid_out, golden) and _gain(laid_out, portable, golden) >= MIN_GAIN:
            found.append(GraphForm(graph.role, graph.variant, laid_out, ORT, session.cpu_class()))
    return found


def _convert(data: bytes, level: ort.GraphOptimizationLevel) -> bytes | None:
    """An ONNX graph, optimized; None where ONNX Runtime cannot, or makes too much of it."""
    options = ort.SessionOptions()
    options.log_severity_level = LOGGED_SEVERITY
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            logger.info("not in ONNX Runtime's own format: %s", error)
            return None
        is_small = target.stat().st_size <= min(len(data) * MAX_GROWTH + FIXED_BYTES, MAX_BLOB_BYTES)
        return target.read_bytes() if is_small else None


def _answers(data: bytes, golden: Golden | None) -> bool:
    """Whether a converted graph loads as the functions load it, and gives the golden answer."""
    try:
        loaded = session.open_session(data, is_ort=True)
        return golden is None or golden_difference(loaded, golden) <= MAX_DIFFERENCE
    except (ArtifactError, InferenceError) as error:
        logger.warning("not in ONNX Runtime's own format: %s", error)
        return False


def _has_convolutions(data: bytes) -> bool:
    """Whether the graph has what ONNX Runtime has other layouts for."""
    return any(node.op_type == "Conv" for node in onnx.load_from_string(data).graph.node)


def _gain(data: bytes, reference: bytes, golden: Golden) -> float:
    """How many times as fast as a reference a graph is, in the median over many pairs of runs."""
    sessions = [session.open_session(each, is_ort=True) for each in (reference, data)]
    ratios = []
    for _ in range(ROUNDS):
        durations_s = []
        for each in sessions:
            started_s = time.perf_counter()
            each.run(golden.inputs, golden.compared)
            durations_s.append(time.perf_counter() - started_s)
        ratios.append(durations_s[0] / durations_s[1])
    return statistics.median(ratios)
