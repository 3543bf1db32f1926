"""The signature: by whom a manifest was published, in the manifest itself.

Its field `signature` is `{"algorithm": "ed25519", "public_key": base64, "value": base64}`, or empty. Signed is the rest
of the JSON object, also what a reader does not know: `CONTEXT`, then the object without this field in the form of RFC
8785 (a manifest of schema 1: as orjson writes it, with sorted keys and no spaces). The model's name and its version are
in there, and the SHA-256 of each artifact; not which alias names the version, nor since when.

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

ALGORITHM = "ed25519"

CONTEXT = b"onnxlet manifest\n"
"""What is signed begins with this: a signature of ours is never one of something else."""


def message(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed of a manifest's JSON object.

    Raises:
        ManifestError: the object holds what JSON cannot.
    """
    return CONTEXT + content_bytes({name: value for name, value in document.items() if name != FIELD})


def to_field(public_key: bytes, value: bytes) -> dict[str, str]:
    """The field `signature` of a manifest."""
    return {"algorithm": ALGORITHM, "public_key": key_to_text(public_key), "value": _to_text(value)}


def key_to_text(public_key: bytes) -> str:
    """A public key as settings and manifests name it: its 32 bytes as base64, 44 characters."""
    return _to_text(public_key)


def parse_public_key(text: str) -> bytes:
    """The public key that a text names.

    Raises:
        ValueError: it names none, or one that signs anything.
    """
    key = _from_text(text)
    if key is None or ed25519.parse_public_key(key) is None:
        raise ValueError(f"expected an Ed25519 public key, 32 bytes as base64, got {text[:100]!r}")
    return key


def is_valid(manifest: Manifest) -> bool:
    """Whether a manifest is signed by the key that it names."""
    key, value = (_from_text(manifest.signature.get(name, "")) for name in ("public_key", "value"))
    if key is None or value is None or manifest.signature.get("algorithm") != ALGORITHM:
        return False
    return ed25519.verify(key, value, message(manifest.to_document()))


def require(manifest: Manifest, public_keys: Sequence[bytes]) -> None:
    """Refuse a manifest that none of these keys has signed.

    Raises:
        UntrustedModelError: it is not signed, by another key, or it was changed after it was signed.
    """
    name = f"{manifest.model} version {manifest.version}"
    found = manifest.signature.get("public_key")
    if not found:
        raise UntrustedModelError(f"{name}: expected a signature by a key of ONNXLET_PUBLIC_KEYS, got none")
    if found not in map(key_to_text, public_keys):
        raise UntrustedModelError(
            f"{name}: expected a signature by a key of ONNXLET_PUBLIC_KEYS, got one by {found:.60}"
        )
    if not is_valid(manifest):
        raise UntrustedModelError(f"{name}: its signature by {found} is not of this manifest")


def _to_text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _from_text(text: str) -> bytes | None:
    """The bytes of base64, in the one form that there is for them, or None."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return data if _to_text(data) == text else None
