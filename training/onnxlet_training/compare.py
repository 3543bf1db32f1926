"""Compare: measure variants of a classifier against the original: size, accuracy, and latency as a ratio."""

import statistics
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.session import open_session
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.graphs import Graph
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Split

ROUNDS = 300
"""The number of pairs of runs; the two runs of a pair follow each other, so that other load affects both alike."""

NOISE = 0.03
"""The noise of a latency ratio: a graph compared with itself gave 0.983 to 1.025, so a smaller gain does not count."""


@dataclass(frozen=True)
class Variant:
    """One graph of a classifier, compared with the original."""

    name: str
    path: Path
    size_bytes: int
    zipped_bytes: int
    accuracy: float
    latency_ratio: float
    """The time for one row, divided by the original's; below 1 is faster."""
    max_accuracy_drop: float
    """The largest permitted loss of accuracy."""
    is_kept: bool
    reason: str
    """The reason why the variant is published or not."""

    def to_document(self) -> dict[str, Any]:
        """Return the variant as `run.json` keeps it."""
        return {**asdict(self), "path": self.path.name}

    def metrics(self) -> dict[str, float]:
        """Return the figures of the manifest."""
        figures = {"accuracy": self.accuracy, "latency_ratio": self.latency_ratio, "size_bytes": float(self.size_bytes)}
        return {f"{self.name}_{name}": value for name, value in figures.items()}


def measure_original(path: Path, test: Split) -> Variant:
    """Measure the original, with which variants are compared."""
    data = path.read_bytes()
    zipped_bytes = len(zlib.compress(data, 9))
    return Variant("fp32", path, len(data), zipped_bytes, _accuracy(data, test), 1.0, 0.0, True, "the original")


def compare(name: str, path: Path, original: Variant, test: Split, max_accuracy_drop: float) -> Variant:
    """Measure a variant and decide whether it is worth publishing."""
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


def with_variants(candidate: Candidate, variants: list[Variant]) -> Candidate:
    """Return the candidate with the variants that are worth publishing; the first is the original."""
    kept = [variant for variant in variants[1:] if variant.is_kept]
    metrics = {name: value for variant in kept for name, value in variant.metrics().items()}
    files = {variant.name: variant.path.read_bytes() for variant in kept}
    return replace(candidate, metrics={**candidate.metrics, **metrics}, variants=files)


def latency_ratio(path: Path, original: Path, row: Array) -> float:
    """Return the median ratio of two graphs' durations over many pairs of runs."""
    sessions = [open_session(file.read_bytes(), threads=1) for file in (path, original)]
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
