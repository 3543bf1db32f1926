"""The expectation: which blobs a cold start of a model will read, in one line of text that a function is told.

A function that knows it begins to fetch them while it still asks what the alias names. What it was told may be out of
date, and nothing is believed of it: an artifact is verified against the manifest that the alias holds.

The line is `cpu=sha256:size,sha256:size;cpu=...`, where `*` stands for all other classes of CPUs. It begins with eight
digits of its own SHA-256, as a class of which no CPU is and which has no blobs: a short name for all of the line. An
environment variable has room for it: Lambda gives 4 KB to all of them together.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from onnxlet.contract import layout
from onnxlet.contract.blob import MAX_BLOB_BYTES, Blob, Runtime

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest

OTHER_CPUS = "*"

NAME_DIGITS = 8

MAX_BLOBS = 8
"""For one class of CPUs: three graphs and a golden example are four."""


def to_text(manifest: Manifest, variant: str | None, version: str) -> str:
    """What a function that loads a manifest with a version of ONNX Runtime should be told."""
    cpus = [*sorted({artifact.cpu for artifact in manifest.artifacts if artifact.cpu}), OTHER_CPUS]
    text = ";".join(
        f"{cpu}="
        + ",".join(f"{each.sha256}:{each.size_bytes}" for each in manifest.best(variant, Runtime(version, cpu)))
        for cpu in cpus
    )
    return f"{hashlib.sha256(text.encode()).hexdigest()[:NAME_DIGITS]}=;{text}"


def parse(text: str, cpu: str) -> list[Blob]:
    """The blobs for a class of CPUs.

    Raises:
        ValueError: not such a line.
    """
    found = dict(_parse_class(item) for item in text.split(";"))
    blobs = [_parse_blob(item) for item in found.get(cpu, found.get(OTHER_CPUS, "")).split(",") if item]
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
