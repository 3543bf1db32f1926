"""Optimization: graphs in ONNX Runtime's own format, which a function uses directly from memory.

Source: onnxruntime, "ORT model format" and "Graph optimizations": EXTENDED is the same on all CPUs, ALL lays out the
weights of convolutions for the CPU of the machine that it runs on.
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
"""Largest growth of a file: a folded constant may be larger than the nodes that it replaces, and is downloaded."""
FIXED_BYTES = 64 * 1024
"""Overhead of the format itself, in addition to the growth."""

MIN_SPEEDUP = 1.4
"""Least speedup of a layout for one class of CPUs over the portable graph: a function that starts with such a layout
runs the golden example first, for which a request waits."""

ROUNDS = 15
"""Rounds of the comparison, with one run of each graph in turn."""


MAIN_VARIANT = "fp32"
"""The variant that is served by default; it comes first among a version's graphs."""


@dataclass(frozen=True)
class GraphForm:
    """One form of a graph of a candidate, as it is published."""

    role: Role
    variant: str
    data: bytes
    format: str = "onnx"
    cpu: str | None = None

    def artifact(self) -> Artifact:
        """Return the manifest's entry for this form."""
        runtime = ort.__version__ if self.format == ORT else None
        return Artifact.of(self.role, self.variant, self.data, self.format, runtime, self.cpu)


def optimize(graph: GraphForm, golden: Golden | None) -> list[GraphForm]:
    """Return the forms of an ONNX graph that this version of ONNX Runtime loads faster; there may be none.

    Args:
        graph: The graph, as ONNX.
        golden: The example that every form must reproduce; without it, only the portable form is made.
    """
    portable = _convert(graph.data, EXTENDED)
    if portable is None or not _answers(portable, golden):
        return []
    forms = [GraphForm(graph.role, graph.variant, portable, ORT)]
    if golden is not None and golden.compared and _has_convolutions(graph.data):
        laid_out = _convert(graph.data, ALL)
        if laid_out is not None and _answers(laid_out, golden) and _speedup(laid_out, portable, golden) >= MIN_SPEEDUP:
            forms.append(GraphForm(graph.role, graph.variant, laid_out, ORT, session.cpu_class()))
    return forms


def _convert(data: bytes, level: ort.GraphOptimizationLevel) -> bytes | None:
    """Return an optimized ONNX graph; None if ONNX Runtime cannot convert it, or the result is too large."""
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
        except Exception as error:  # ONNX Runtime's exceptions have no other common base
            logger.info("not in ONNX Runtime's own format: %s", error)
            return None
        is_small = target.stat().st_size <= min(len(data) * MAX_GROWTH + FIXED_BYTES, MAX_BLOB_BYTES)
        return target.read_bytes() if is_small else None


def _answers(data: bytes, golden: Golden | None) -> bool:
    """Return whether a converted graph loads in the functions' session, and gives the golden answer."""
    try:
        loaded = session.open_session(data, is_ort=True)
        return golden is None or golden_difference(loaded, golden) <= MAX_DIFFERENCE
    except (ArtifactError, InferenceError) as error:
        logger.warning("not in ONNX Runtime's own format: %s", error)
        return False


def _has_convolutions(data: bytes) -> bool:
    """Return whether the graph has convolutions, for whose weights ONNX Runtime has other layouts."""
    return any(node.op_type == "Conv" for node in onnx.load_from_string(data).graph.node)


def _speedup(data: bytes, portable: bytes, golden: Golden) -> float:
    """Return the speedup of a graph over the portable one, in the median over pairs of runs."""
    sessions = [session.open_session(graph, is_ort=True) for graph in (portable, data)]
    ratios = []
    for _ in range(ROUNDS):
        durations_s = []
        for opened in sessions:
            started_s = time.perf_counter()
            opened.run(golden.inputs, golden.compared)
            durations_s.append(time.perf_counter() - started_s)
        ratios.append(durations_s[0] / durations_s[1])
    return statistics.median(ratios)
