"""Damage: bytes of a published version that are no longer those that were published."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import DIGEST, to_sealed_json
from onnxlet.contract.manifest import Manifest


def damage(root: Path, manifest: Manifest, role: str = "model") -> dict[Path, bytes]:
    """Change the last byte of every form of a graph; gives the files and what they held."""
    blobs = [root / layout.blob_key(artifact.sha256) for artifact in manifest.artifacts if artifact.role == role]
    before = {blob: blob.read_bytes() for blob in blobs}
    for blob, data in before.items():
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return before


def resealed(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document with a new digest, as whoever changes it can make one."""
    return to_sealed_json({name: value for name, value in document.items() if name != DIGEST}, 2**40)


def every_flip(data: bytes) -> Iterator[bytes]:
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)
