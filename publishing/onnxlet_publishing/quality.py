"""The gate's questions about a run: may it publish, does its recipe know the network, is the live version better?"""

import hashlib
import math
import os
from dataclasses import dataclass

from onnxlet.contract import layout
from onnxlet.errors import ArtifactError, ConflictError, ModelNotFoundError, ObjectNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.storage import Revision, Store
from onnxlet_publishing.publish import Candidate, Passed

HIGHER_IS_BETTER = ("accuracy", "f1", "auc", "anomaly_auc")
LOWER_IS_BETTER = ("perplexity", "reconstruction_error", "feature_distance")


@dataclass(frozen=True)
class Margin:
    """How much worse a version may be than the live one."""

    absolute: float = 0.01
    """Of measures between 0 and 1."""
    relative: float = 0.05
    """Of measures without an upper bound."""


NEVER = Revision(etag=f'"{"0" * 32}"', version=str(2**62))
"""A state that no object is ever in: a write on this condition needs the right to write, and changes nothing."""

PROOF_KEY = "onnxlet-may-write-here"
"""The object that a run leaves where its platform will keep its checkpoints."""


def check_may_publish(registry: Registry, name: str, alias: str | None) -> None:
    """Read and write a registry as a publication will, before a run spends time and money on what it could not keep.

    One small blob stays behind: whoever publishes may write blobs, and seldom delete them.

    Args:
        registry: Where the run publishes.
        name: The model.
        alias: The alias that will be moved; None where none will.

    Raises:
        OnnxletError: The registry cannot be read, or not be written, by this process.
    """
    registry.versions(name)
    registry.require_conditions()
    data = f"A run with the number {os.urandom(16).hex()} may write here.\n".encode()
    key = layout.blob_key(hashlib.sha256(data).hexdigest())
    registry.store.put_if_absent(key, data)
    registry.store.read(key)
    if alias is not None and not registry.allows_unconditional_writes:
        _check_may_move(registry.store, layout.alias_key(name, alias))


def check_may_keep(store: Store) -> None:
    """Write an object where a run's checkpoints will be kept.

    Raises:
        OnnxletError: This process cannot write there.
    """
    store.put_if_absent(PROOF_KEY, b"A run may write here.\n")


def _check_may_move(store: Store, key: str) -> None:
    """Ask the store to replace an alias by itself, on a condition that never holds."""
    try:
        data = store.read(key).data
    except ObjectNotFoundError:
        data = b""
    try:
        store.replace(key, data, NEVER)
    except (ConflictError, ObjectNotFoundError):
        return


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
