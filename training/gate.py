"""The gate's last questions: does a recipe know its network, and is the new version worse than the live one?"""

import math
from dataclasses import dataclass

from onnxlet.errors import ArtifactError, ModelNotFoundError
from onnxlet.registry import Registry
from training.publish import Candidate, Passed

HIGHER_IS_BETTER = ("accuracy", "f1", "auc", "anomaly_auc")
LOWER_IS_BETTER = ("perplexity", "reconstruction_error", "feature_distance")


@dataclass(frozen=True)
class Margin:
    """How much worse a version may be than the live one."""

    absolute: float = 0.01
    """Of measures between 0 and 1."""
    relative: float = 0.05
    """Of measures without an upper bound."""


def check_activations(passed: list[Passed]) -> None:
    """Refuse a recipe that declares scores where its network gives probabilities, or the other way round.

    Raises:
        ArtifactError: it does.
    """
    for gated in passed:
        source, declared, finding = gated.candidate.source, gated.candidate.classification, gated.finding
        if declared is not None and finding is not None and finding.contradicts(declared):
            raise ArtifactError(
                f"{source}: expected the activation {finding.activation}, got {declared.activation}: {finding.reason}"
            )


def check_not_worse(registry: Registry, candidate: Candidate, margin: Margin) -> None:
    """Compare a candidate's measures with those of the live version, where there is one.

    Raises:
        ArtifactError: one of them is worse by more than the margin, or no number, or was measured for the live version
            and not for the candidate.
        StoreError: the registry does not answer.
    """
    try:
        live = registry.resolve(candidate.name)
    except ModelNotFoundError:
        return
    for name in (*HIGHER_IS_BETTER, *LOWER_IS_BETTER):
        old, new = live.metrics.get(name, math.nan), candidate.metrics.get(name, math.nan)
        if not math.isnan(old) and not _is_as_good(name, new, old, margin):
            measured = "not measured" if math.isnan(new) else f"{new:.4f}, which is worse"
            raise ArtifactError(
                f"{candidate.name}: {name} is {measured}; live version {live.version} has {old:.4f}; "
                "--force publishes the new one all the same, --stage without making it live"
            )


def _is_as_good(name: str, new: float, old: float, margin: Margin) -> bool:
    """Return whether a measure is within the margin; never where it is NaN."""
    if name in HIGHER_IS_BETTER:
        return new >= old - margin.absolute
    return new <= old + margin.relative * abs(old)
