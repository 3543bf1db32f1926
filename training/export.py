"""Export: each graph of a fitted network as an ONNX file that answers as the network does on the whole test split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnxlet.contract.golden import Golden
from onnxlet.errors import ArtifactError
from training.graphs import Graph, to_tensor
from training.recipe import Dataset, Exportable, Fitted

MAX_DIFFERENCE = 1e-4
"""Between the framework's output and ONNX Runtime's, on any test example; float32 rounding stays far below."""

GOLDEN_ROWS = 2
"""Of test examples that are published as the golden one."""

SLOW_OPERATORS = ("Loop", "Scan")
"""What a recurrent layer must not become."""


@dataclass(frozen=True)
class Exported:
    """An ONNX graph that answers as the network does."""

    suffix: str
    path: Path
    max_difference: float
    """The largest one found on the test split."""
    operators: dict[str, int]
    """How many nodes of each kind there are."""
    golden: Golden
    """The first test examples, with what the framework gives for them."""

    def metrics(self) -> dict[str, float]:
        """The figures that a manifest keeps."""
        return {"export_max_difference": self.max_difference, "operators": float(sum(self.operators.values()))}


def export(fitted: Fitted, dataset: Dataset, folder: Path) -> list[Exported]:
    """Write and check every graph of a fitted network.

    Raises:
        ArtifactError: the exporter failed, a graph is malformed, or it answers differently.
    """
    return [_export(exportable, folder) for exportable in fitted.exportables(dataset)]


def _export(exportable: Exportable, folder: Path) -> Exported:
    path = folder / f"model{exportable.suffix}.onnx"
    try:
        exportable.write(path)
        proto = onnx.load(path)
        onnx.checker.check_model(proto, full_check=True)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ArtifactError(f"{path}: the export failed: {str(error)[:300]}") from error
    operators = dict(Counter(node.op_type for node in proto.graph.node))
    slow = [operator for operator in SLOW_OPERATORS if operator in operators]
    if slow:
        raise ArtifactError(f"{path}: expected native operators, got a {slow[0]}")
    return Exported(exportable.suffix, path, _difference(exportable, path), operators, _golden(exportable))


def _golden(exportable: Exportable) -> Golden:
    inputs, outputs = (
        {name: to_tensor(array[:GOLDEN_ROWS]) for name, array in arrays.items()}
        for arrays in (exportable.inputs, exportable.outputs)
    )
    return Golden(inputs, outputs)


def _difference(exportable: Exportable, path: Path) -> float:
    graph = Graph(path.read_bytes())
    largest = 0.0
    for name, expected in exportable.outputs.items():
        difference = float(np.abs(graph.run(exportable.inputs, name) - expected).max())
        if not difference <= MAX_DIFFERENCE:
            raise ArtifactError(f"{path}: {name}: expected answers within {MAX_DIFFERENCE}, got {difference:.2g} apart")
        largest = max(largest, difference)
    return largest
