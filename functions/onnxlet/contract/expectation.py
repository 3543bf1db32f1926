"""Expectation: the blobs that a cold start of a model will read, as one line of text for `ONNXLET_PREFETCH`.

A function with this line fetches the blobs at the same time as the alias. The line may be out of date, and is never
trusted: every artifact is verified against the manifest that the alias holds.

The line is `cpu=sha256:size,sha256:size;cpu=...`, where `*` stands for all other classes of CPUs. It begins with eight
digits of its own SHA-256 and an equals sign, as a class without blobs: a short name for the whole line. It fits into an
environment variable: Lambda allows 4 KB for all variables together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.contract import hashing, layout
from onnxlet.contract.blob import MAX_BLOB_BYTES, Blob, Runtime

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest

OTHER_CPUS = "*"
"""The class that stands for all CPUs without a class of their own in the line."""

NAME_DIGITS = 8
"""Digits of the line's short name."""

MAX_BLOBS = 8
"""Blobs for one class of CPUs: a tokenizer, three graphs and a golden example are five."""


def to_text(manifest: Manifest, variant: str | None, version: str) -> str:
    """Return the line for a function that loads this manifest with a version of ONNX Runtime."""
    cpus = [*sorted({artifact.cpu for artifact in manifest.artifacts if artifact.cpu}), OTHER_CPUS]
    text = ";".join(
        f"{cpu}="
        + ",".join(
            f"{artifact.sha256}:{artifact.size_bytes}" for artifact in manifest.best(variant, Runtime(version, cpu))
        )
        for cpu in cpus
    )
    return f"{hashing.sha256(text.encode()).hexdigest()[:NAME_DIGITS]}=;{text}"


def parse(text: str, cpu: str) -> list[Blob]:
    """Return the blobs that a line names for a class of CPUs.

    Raises:
        ValueError: the line is malformed.
    """
    classes = dict(_parse_class(item) for item in text.split(";"))
    blobs = [_parse_blob(item) for item in classes.get(cpu, classes.get(OTHER_CPUS, "")).split(",") if item]
    if len(blobs) > MAX_BLOBS:
        raise ValueError(f"expected at most {MAX_BLOBS} blobs, got {len(blobs)}")
    return blobs


def _parse_class(text: str) -> tuple[str, str]:
    cpu, is_there, blobs = text.partition("=")
    if not cpu or not is_there:
        raise ValueError(f"expected cpu=sha256:size, got {text[:100]!r}")
    return cpu, blobs


def _parse_blob(text: str) -> Blob:
    sha256, _, size = text.partition(":")
    is_number = size.isascii() and size.isdigit()
    if not layout.is_sha256(sha256) or not is_number or not 0 < int(size) <= MAX_BLOB_BYTES:
        raise ValueError(f"expected SHA-256:size, got {text[:100]!r}")
    return Blob(sha256, int(size))
