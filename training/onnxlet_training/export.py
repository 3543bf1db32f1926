"""Export: each graph of a fitted network as an ONNX file that answers as the network does on the whole test split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnxlet.contract.golden import Golden
from onnxlet.errors import ArtifactError
from onnxlet_publishing.graphs import Graph, to_tensor
from onnxlet_training.recipe import Array, Dataset, Exportable, Fitted

ABSOLUTE = 1e-4
"""How far ONNX Runtime's output may be from the framework's, on any test example, where its numbers are at most one."""

RELATIVE = 5e-4
"""How much farther, as a share of what a number's magnitude has above one: sums of many terms are rounded as they grow.

The magnitude is the largest at the same place in any test example, so that a small difference of large terms is
compared with the terms. It is half of the bound for golden examples, which other CPUs must keep, too.
"""

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
    """The largest one found on the test split, relative to the numbers' magnitude where that is above one."""
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
    return max(
        _compare(f"{path}: {name}", graph.run(exportable.inputs, name), expected)
        for name, expected in exportable.outputs.items()
    )


def _compare(what: str, found: Array, expected: Array) -> float:
    """Return the largest difference, relative to the magnitude where that is above one.

    Args:
        what: The output's name, for the error.
        found: What ONNX Runtime gives, (count, ...).
        expected: What the framework gives, (count, ...).

    Raises:
        ArtifactError: the outputs differ by more than rounding does, or in their shape.
    """
    if found.shape != expected.shape:
        raise ArtifactError(f"{what}: expected the network's shape {expected.shape}, got {found.shape}")
    magnitudes = np.maximum(1, np.abs(expected).max(axis=0))
    allowed = np.broadcast_to(ABSOLUTE + RELATIVE * (magnitudes - 1), expected.shape)
    differences = np.abs(found - expected)
    if not (differences <= allowed).all():
        worst = (differences / allowed).argmax()
        raise ArtifactError(
            f"{what}: expected answers within {allowed.flat[worst]:.2g} of the network's, "
            f"got {found.flat[worst]:.6g} where it gives {expected.flat[worst]:.6g}"
        )
    return float((differences / magnitudes).max())
