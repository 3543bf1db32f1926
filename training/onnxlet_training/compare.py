"""Compare: variants of a classifier beside the original, in one run: size, accuracy, and latency as a ratio."""

import statistics
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.session import open_session
from onnxlet_publishing.graphs import Graph
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Split

ROUNDS = 300
"""Pairs of runs, the one right after the other: what else the machine does touches both alike."""

NOISE = 0.03
"""Of a latency ratio: a graph measured beside itself came out between 0.983 and 1.025. Less gain than this is none."""


@dataclass(frozen=True)
class Variant:
    """One graph of a classifier, measured beside the original."""

    name: str
    path: Path
    size_bytes: int
    zipped_bytes: int
    accuracy: float
    latency_ratio: float
    """Its time for one row by the original's; below 1 is faster."""
    max_accuracy_drop: float
    """What it may lose of the original's accuracy."""
    is_kept: bool
    reason: str
    """Why it is published, or not."""

    def to_document(self) -> dict[str, Any]:
        """As `run.json` keeps it."""
        return {**asdict(self), "path": self.path.name}

    def metrics(self) -> dict[str, float]:
        """The figures that a manifest keeps."""
        figures = {"accuracy": self.accuracy, "latency_ratio": self.latency_ratio, "size_bytes": float(self.size_bytes)}
        return {f"{self.name}_{name}": value for name, value in figures.items()}


def measure_original(path: Path, test: Split) -> Variant:
    """The original itself: what the others are held against."""
    data = path.read_bytes()
    zipped_bytes = len(zlib.compress(data, 9))
    return Variant("fp32", path, len(data), zipped_bytes, _accuracy(data, test), 1.0, 0.0, True, "the original")


def compare(name: str, path: Path, original: Variant, test: Split, max_accuracy_drop: float) -> Variant:
    """Measure a variant, and decide whether it is worth publishing."""
    data = path.read_bytes()
    zipped_bytes = len(zlib.compress(data, 9))
    accuracy, ratio = _accuracy(data, test), latency_ratio(path, original.path, test.to_model(test.inputs[:1]))
    drop = round(original.accuracy - accuracy, 9)  # 1 - 0.995 is more than 0.005 in binary
    is_smaller, is_faster = zipped_bytes < original.zipped_bytes, ratio < 1 - NOISE
    if drop > max_accuracy_drop:
        is_kept, reason = False, f"loses {drop:.4f} of accuracy, more than {max_accuracy_drop}"
    elif is_faster:
        is_kept, reason = True, f"{1 / ratio:.2f} times as fast"
    elif name == "pruned" and is_smaller:
        is_kept, reason = True, "smaller when zipped, and no faster"
    else:
        is_kept, reason = False, f"not faster: {ratio:.2f} of the original's time"
    return Variant(name, path, len(data), zipped_bytes, accuracy, ratio, max_accuracy_drop, is_kept, reason)


def latency_ratio(path: Path, original: Path, row: Array) -> float:
    """The median over many pairs of runs of how long one graph takes by how long the other does."""
    sessions = [open_session(each.read_bytes(), threads=1) for each in (path, original)]
    tensor = Tensor(DATATYPES["FP32"], row.shape, memoryview(np.ascontiguousarray(row).tobytes()))
    ratios = []
    for _ in range(ROUNDS):
        durations_s = []
        for session in sessions:
            started_s = time.perf_counter()
            session.run({INPUT: tensor}, [OUTPUT])
            durations_s.append(time.perf_counter() - started_s)
        ratios.append(durations_s[0] / durations_s[1])
    return statistics.median(ratios)


def _accuracy(data: bytes, test: Split) -> float:
    output = Graph(data).run({INPUT: test.features}, OUTPUT)
    return float((output.argmax(axis=1) == test.targets).mean())
