"""Signature: a publisher's Ed25519 signature of a manifest, inside the manifest.

The field `signature` is `{"algorithm": "ed25519", "public_key": base64, "value": base64}`, or empty. The signed message
is `CONTEXT` followed by the manifest's JSON object without this field, in the form of RFC 8785 (for schema 1: as orjson
writes it, with sorted keys and no spaces). It includes fields that a reader does not know, the model's name, its
version and the SHA-256 of each artifact. It does not include which alias names the version, or since when.

Source: RFC 8032 (Ed25519), RFC 8785 (JSON Canonicalization Scheme).
"""

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from onnxlet.contract import ed25519
from onnxlet.contract.document import content_bytes
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import UntrustedModelError

FIELD = "signature"
"""The field of a manifest with its signature."""

ALGORITHM = "ed25519"

CONTEXT = b"onnxlet manifest\n"
"""Beginning of every signed message, so that a signature is never valid for anything but a manifest."""


def message(document: Mapping[str, Any]) -> bytes:
    """Return the message that is signed for a manifest's JSON object.

    Raises:
        ManifestError: JSON cannot hold the object.
    """
    return CONTEXT + content_bytes({name: value for name, value in document.items() if name != FIELD})


def to_field(public_key: bytes, value: bytes) -> dict[str, str]:
    """Return the value of a manifest's field `signature`."""
    return {"algorithm": ALGORITHM, "public_key": key_to_text(public_key), "value": _to_text(value)}


def key_to_text(public_key: bytes) -> str:
    """Return a public key as settings and manifests name it: its 32 bytes in base64, 44 characters."""
    return _to_text(public_key)


def parse_public_key(text: str) -> bytes:
    """Return the public key in a text.

    Raises:
        ValueError: the text is not a public key, or the key has a small order, which makes any signature valid.
    """
    key = _from_text(text)
    if key is None or ed25519.parse_public_key(key) is None:
        raise ValueError(f"expected an Ed25519 public key, 32 bytes as base64, got {text[:100]!r}")
    return key


def is_valid(manifest: Manifest) -> bool:
    """Return whether a manifest's signature is valid under the key that the manifest names."""
    key, value = (_from_text(manifest.signature.get(name, "")) for name in ("public_key", "value"))
    if key is None or value is None or manifest.signature.get("algorithm") != ALGORITHM:
        return False
    return ed25519.verify(key, value, message(manifest.to_document()))


def require(manifest: Manifest, public_keys: Sequence[bytes]) -> None:
    """Refuse a manifest that none of these keys has signed.

    Raises:
        UntrustedModelError: the manifest has no signature, one of another key, or was changed after it was signed.
    """
    name = f"{manifest.model} version {manifest.version}"
    signer = manifest.signature.get("public_key")
    if not signer:
        raise UntrustedModelError(f"{name}: expected a signature by a key of ONNXLET_PUBLIC_KEYS, got none")
    if signer not in map(key_to_text, public_keys):
        raise UntrustedModelError(
            f"{name}: expected a signature by a key of ONNXLET_PUBLIC_KEYS, got one by {signer:.60}"
        )
    if not is_valid(manifest):
        raise UntrustedModelError(f"{name}: its signature by {signer} is not of this manifest")


def _to_text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _from_text(text: str) -> bytes | None:
    """Return the bytes of a base64 text, or None if it is malformed or not in the canonical form."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return data if _to_text(data) == text else None
