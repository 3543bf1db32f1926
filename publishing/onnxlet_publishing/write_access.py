"""Write access: whether this process may write where a training run will publish and keep its checkpoints.

A run checks it before it spends time and money on a model that it could not keep.
"""

import hashlib
import os

from onnxlet.contract import layout
from onnxlet.errors import ConflictError, ObjectNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.storage import Revision, Store

IMPOSSIBLE_REVISION = Revision(etag=f'"{"0" * 32}"', version=str(2**62))
"""A revision that no object ever has: a write on this condition needs the right to write, and changes nothing."""

PROOF_KEY = "onnxlet-may-write-here"
"""The object that a run leaves in the place where its platform will keep its checkpoints."""


def check_may_publish(registry: Registry, name: str, alias: str | None) -> None:
    """Read and write a registry as a later publication will.

    One small blob stays behind: publishers may write blobs, but seldom may they delete them.

    Args:
        registry: The registry that the run will publish to.
        name: The model.
        alias: The alias that the publication will move; None if it moves no alias.

    Raises:
        OnnxletError: This process cannot read or cannot write the registry.
    """
    registry.versions(name)
    registry.require_conditions()
    data = f"A run with the number {os.urandom(16).hex()} may write here.\n".encode()
    key = layout.blob_key(hashlib.sha256(data).hexdigest())
    registry.store.put_if_absent(key, data)
    registry.store.read(key)
    if alias is not None and not registry.allows_unconditional_writes:
        _check_may_replace(registry.store, layout.alias_key(name, alias))


def check_may_keep(store: Store) -> None:
    """Write an object to the place where a run's checkpoints will be kept.

    Raises:
        OnnxletError: This process cannot write there.
    """
    store.put_if_absent(PROOF_KEY, b"A run may write here.\n")


def _check_may_replace(store: Store, key: str) -> None:
    """Try to replace an alias with its own content, on a condition that never holds."""
    try:
        data = store.read(key).data
    except ObjectNotFoundError:
        data = b""
    try:
        store.replace(key, data, IMPOSSIBLE_REVISION)
    except (ConflictError, ObjectNotFoundError):
        return
