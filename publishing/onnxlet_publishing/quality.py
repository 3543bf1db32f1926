"""Quality: whether a trained candidate is as good as the live version, and gives what its recipe declares."""

import math
from dataclasses import dataclass

from onnxlet.errors import ModelNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import GateResult

HIGHER_IS_BETTER = ("accuracy", "f1", "auc", "anomaly_auc")
LOWER_IS_BETTER = ("perplexity", "reconstruction_error", "feature_distance")


@dataclass(frozen=True)
class Margin:
    """The amount by which a candidate may be worse than the live version."""

    absolute: float = 0.01
    """Margin of metrics between 0 and 1."""
    relative: float = 0.05
    """Margin of metrics without an upper bound, as a share of the live version's."""


def check_activations(results: list[GateResult]) -> None:
    """Refuse a recipe that declares logits if its network gives probabilities, or vice versa.

    Raises:
        ModelError: A declaration contradicts what running the model showed.
    """
    for result in results:
        source, declared, finding = result.candidate.source, result.candidate.classification, result.finding
        if declared is not None and finding is not None and finding.contradicts(declared):
            raise ModelError(
                f"{source}: expected the activation {finding.activation}, got {declared.activation}: {finding.reason}"
            )


def check_not_worse(registry: Registry, candidate: Candidate, margin: Margin) -> None:
    """Compare a candidate's metrics with those of the live version; without a live version anything passes.

    Raises:
        ModelError: A metric is worse by more than the margin, is NaN, or is missing although the live version has it.
        StoreError: The registry does not respond.
    """
    try:
        live = registry.resolve(candidate.name)
    except ModelNotFoundError:
        return
    for name in (*HIGHER_IS_BETTER, *LOWER_IS_BETTER):
        old, new = live.metrics.get(name, math.nan), candidate.metrics.get(name, math.nan)
        if not math.isnan(old) and not _is_as_good(name, new, old, margin):
            measured = "not measured" if math.isnan(new) else f"{new:.4f}, which is worse"
            raise ModelError(
                f"{candidate.name}: {name} is {measured}; live version {live.version} has {old:.4f}; "
                "--force publishes it anyway, --stage publishes it without making it live"
            )


def _is_as_good(name: str, new: float, old: float, margin: Margin) -> bool:
    """Return whether a metric is within the margin; NaN never is."""
    if name in HIGHER_IS_BETTER:
        return new >= old - margin.absolute
    return new <= old + margin.relative * abs(old)
