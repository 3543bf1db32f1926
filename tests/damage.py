"""Damage: bytes of a published version that are no longer those that were published."""

from pathlib import Path

from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest


def damage(root: Path, manifest: Manifest, role: str = "model") -> dict[Path, bytes]:
    """Change the last byte of every form of a graph; gives the files and what they held."""
    blobs = [root / layout.blob_key(artifact.sha256) for artifact in manifest.artifacts if artifact.role == role]
    before = {blob: blob.read_bytes() for blob in blobs}
    for blob, data in before.items():
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return before
