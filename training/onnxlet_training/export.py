"""Export: write a fitted network's graphs as ONNX files, and compare each with the network on all test examples."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnxlet.contract.golden import Golden
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graphs import Graph, to_tensor
from onnxlet_training.recipe import Array, Dataset, Exportable, Fitted

ABSOLUTE = 1e-4
"""The largest difference between ONNX Runtime's output and the framework's, for numbers up to 1."""

RELATIVE = 5e-4
"""The additional difference for larger numbers, as a share of the part of their magnitude above 1.

Sums of many terms are rounded more as they grow. The magnitude is the largest at the same place in any test example, so
that a small difference of large terms is compared with the terms. The bound is half of the one for golden examples,
which other CPUs must keep too.
"""

GOLDEN_ROWS = 2
"""The number of test examples in the golden example."""

SLOW_OPERATORS = ("Loop", "Scan")
"""Operators that a recurrent layer must not become: ONNX Runtime runs them many times slower."""


@dataclass(frozen=True)
class Exported:
    """An ONNX file that answers as the network does."""

    suffix: str
    path: Path
    max_difference: float
    """The largest difference on the test split, relative to the magnitude of numbers above 1."""
    operators: dict[str, int]
    """The number of nodes of each operator."""
    golden: Golden
    """The first test examples, with the framework's outputs."""

    def metrics(self) -> dict[str, float]:
        """Return the figures of the manifest."""
        return {"export_max_difference": self.max_difference, "operators": float(sum(self.operators.values()))}


def export(fitted: Fitted, dataset: Dataset, folder: Path) -> list[Exported]:
    """Write and check every graph of a fitted network.

    Raises:
        ModelError: the exporter failed, a graph is malformed, or it answers differently.
    """
    return [_export(exportable, folder) for exportable in fitted.exportables(dataset)]


def _export(exportable: Exportable, folder: Path) -> Exported:
    path = folder / f"model{exportable.suffix}.onnx"
    try:
        exportable.write(path)
        proto = onnx.load(path)
        onnx.checker.check_model(proto, full_check=True)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: the export failed: {str(error)[:300]}") from error
    operators = dict(Counter(node.op_type for node in proto.graph.node))
    slow = [operator for operator in SLOW_OPERATORS if operator in operators]
    if slow:
        raise ModelError(f"{path}: expected native operators, got a {slow[0]}")
    graph = Graph(path.read_bytes())
    difference = max(
        _compare(f"{path}: {name}", graph.run(exportable.inputs, name), expected)
        for name, expected in exportable.outputs.items()
    )
    inputs, outputs = (
        {name: to_tensor(array[:GOLDEN_ROWS]) for name, array in arrays.items()}
        for arrays in (exportable.inputs, exportable.outputs)
    )
    return Exported(exportable.suffix, path, difference, operators, Golden(inputs, outputs))


def _compare(what: str, actual: Array, expected: Array) -> float:
    """Return the largest difference of two outputs, (count, ...), relative to the magnitude of numbers above 1.

    Raises:
        ModelError: the outputs differ in shape, or by more than rounding.
    """
    if actual.shape != expected.shape:
        raise ModelError(f"{what}: expected the network's shape {expected.shape}, got {actual.shape}")
    magnitudes = np.maximum(1, np.abs(expected).max(axis=0))
    allowed = np.broadcast_to(ABSOLUTE + RELATIVE * (magnitudes - 1), expected.shape)
    differences = np.abs(actual - expected)
    if not (differences <= allowed).all():
        worst = (differences / allowed).argmax()
        raise ModelError(
            f"{what}: expected answers within {allowed.flat[worst]:.2g} of the network's, "
            f"got {actual.flat[worst]:.6g} where it gives {expected.flat[worst]:.6g}"
        )
    return float((differences / magnitudes).max())
