"""An artifact: bytes of a version, what they are, where they may be loaded, and the parts that they are fetched in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from onnxlet.contract import layout
from onnxlet.contract.blob import MAX_BLOB_BYTES, Blob, Runtime
from onnxlet.contract.document import Document
from onnxlet.record import Record

Role = Literal["model", "preprocess", "postprocess", "golden"]
GRAPH_ROLES: tuple[Role, ...] = ("model", "preprocess", "postprocess")
"""Of what a function loads."""
ROLES: tuple[Role, ...] = (*GRAPH_ROLES, "golden")

ONNX, ORT, JSON = "onnx", "ort", "json"
FORMATS = (ONNX, ORT, JSON)
"""`ort` is ONNX Runtime's own: optimised already, and used as it lies in memory."""


class Part(Record):
    """A range of an artifact's bytes, with the SHA-256 of its own."""

    start: int
    stop: int
    sha256: str


class Artifact(Record):
    """Bytes of a version, an ONNX graph or its golden example, found by their SHA-256."""

    role: str
    """`model`, one of the small graphs beside it (`preprocess`, `postprocess`), or its `golden` example."""
    variant: str
    """`fp32`, `int8`, ...: a version may have its model in several."""
    sha256: str
    size_bytes: int
    format: str = ONNX
    runtime: str | None = None
    """Of an `ort`: the version of ONNX Runtime that made it, and that alone may load it."""
    cpu: str | None = None
    """The class of CPUs that its weights are laid out for; None for any."""
    part_digests: tuple[str, ...] = ()
    """The SHA-256 of each of its parts, which lie where `Blob.ranges` says; empty where it is one part."""

    @classmethod
    def of(
        cls,
        role: Role,
        variant: str,
        data: bytes,
        format: str = ONNX,  # noqa: A002 - the field's name
        runtime: str | None = None,
        cpu: str | None = None,
    ) -> Artifact:
        """Describe bytes that are to be published."""
        sha256 = _sha256(data)
        bounds = Blob(sha256, len(data)).ranges()
        digests = tuple(_sha256(memoryview(data)[start:stop]) for start, stop in bounds) if len(bounds) > 1 else ()
        return cls(role, variant, sha256, len(data), format, runtime, cpu, digests)

    @property
    def blob(self) -> Blob:
        """What is needed to ask for it."""
        return Blob(self.sha256, self.size_bytes)

    def parts(self) -> Iterator[Part]:
        """The ranges that its bytes are fetched and verified in."""
        bounds = self.blob.ranges() if self.part_digests else [(0, self.size_bytes)]
        for (start, stop), digest in zip(bounds, self.part_digests or (self.sha256,), strict=True):
            yield Part(start, stop, digest)

    def fits(self, runtime: Runtime | None) -> bool:
        """Whether a process may load it; without a runtime only what any version on any CPU loads."""
        if self.format != ORT:
            return True
        return runtime is not None and self.runtime == runtime.version and self.cpu in {None, runtime.cpu}

    @property
    def must_be_checked(self) -> bool:
        """Whether it is loaded only where it then gives the version's golden outputs: nothing in it says its layout."""
        return self.cpu is not None

    def preference(self) -> int:
        """What is loaded sooner, and then runs faster, comes first: laid out for a CPU, optimised, portable."""
        return 0 if self.cpu else 1 if self.format == ORT else 2


def parse_artifact(document: Document) -> Artifact:
    """Read one artifact of a manifest.

    Raises:
        ManifestError: anything malformed.
    """
    blob = Blob(_parse_sha256(document), document.integer("size_bytes", 1, MAX_BLOB_BYTES))
    digests = document.texts("part_digests") if document.content.get("part_digests") else ()
    count = len(blob.ranges())
    if digests and (len(digests) != count or not all(map(layout.is_sha256, digests))):
        raise document.error("part_digests", f"64 hexadecimal digits for each of {count} parts")
    return Artifact(
        role=document.choice("role", ROLES),
        variant=document.text("variant", at_most=63),
        sha256=blob.sha256,
        size_bytes=blob.size_bytes,
        format=document.choice("format", FORMATS) if "format" in document.content else ONNX,
        runtime=document.optional_text("runtime"),
        cpu=document.optional_text("cpu"),
        part_digests=digests,
    )


def _parse_sha256(document: Document) -> str:
    sha256 = document.text("sha256")
    if not layout.is_sha256(sha256):
        raise document.error("sha256", "64 hexadecimal digits")
    return sha256


def _sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
