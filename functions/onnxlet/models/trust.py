"""Trust: only versions that a trusted publisher has signed may be run or handed out."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlet.contract.manifest import Manifest


def require_trust(manifest: Manifest, public_keys: Sequence[bytes]) -> None:
    """Refuse a version that none of the trusted keys has signed; without trusted keys, accept every version.

    Raises:
        UntrustedModelError: no trusted key has signed the version.
    """
    if public_keys:
        from onnxlet.contract import signature  # few functions require signatures

        signature.require(manifest, public_keys)
