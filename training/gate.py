"""The gate's last questions: does a recipe know its network, and is the new version worse than the live one?"""

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
    """Hold a candidate's measures against those of the live version, where there is one.

    Raises:
        ArtifactError: one of them is worse by more than the margin.
        StoreError: the registry does not answer.
    """
    try:
        live = registry.resolve(candidate.name)
    except ModelNotFoundError:
        return
    for name, new in candidate.metrics.items():
        old = live.metrics.get(name)
        if old is None:
            continue
        is_lower = name in HIGHER_IS_BETTER and new < old - margin.absolute
        is_higher = name in LOWER_IS_BETTER and new > old * (1 + margin.relative)
        if is_lower or is_higher:
            raise ArtifactError(
                f"{candidate.name}: {name} is {new:.4f}, worse than the {old:.4f} of live version {live.version}; "
                "--force publishes it all the same, --stage without making it live"
            )
