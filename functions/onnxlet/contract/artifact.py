"""Artifact: the bytes of one graph, tokenizer or golden example of a version, and the runtimes that may load them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from onnxlet.contract import hashing, layout
from onnxlet.contract.blob import MAX_BLOB_BYTES, Blob, Runtime
from onnxlet.contract.document import Document
from onnxlet.record import Record

Role = Literal["model", "preprocess", "postprocess", "tokenizer", "golden", "example"]
GRAPH_ROLES: tuple[Role, ...] = ("model", "preprocess", "postprocess")
"""The roles of graphs, which a function loads."""
ROLES: tuple[Role, ...] = (*GRAPH_ROLES, "tokenizer", "golden", "example")

ONNX, ORT, JSON = "onnx", "ort", "json"
FORMATS = (ONNX, ORT, JSON)
"""Formats of artifacts: `ort` is ONNX Runtime's own, already optimised, and used in memory without a copy."""


class Part(Record):
    """A range of an artifact's bytes with its SHA-256."""

    start: int
    stop: int
    sha256: str


class Artifact(Record):
    """The description of an artifact, whose blob is found by its SHA-256."""

    role: str
    """`model`, `preprocess` or `postprocess` for graphs, `tokenizer`, `golden` for the golden example,
    or `example` for a payload in the form that a person has."""
    variant: str
    """The variant of the model's graph, for instance `fp32` or `int8`."""
    sha256: str
    size_bytes: int
    format: str = ONNX
    runtime: str | None = None
    """The version of ONNX Runtime that made an `ort` file; no other version may load it."""
    cpu: str | None = None
    """The class of CPUs that the weights are laid out for; None for any CPU."""
    part_digests: tuple[str, ...] = ()
    """The SHA-256 of each range in `Blob.ranges`; empty if the artifact is a single part."""

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
        """Describe bytes that will be published."""
        sha256 = _sha256(data)
        bounds = Blob(sha256, len(data)).ranges()
        digests = tuple(_sha256(memoryview(data)[start:stop]) for start, stop in bounds) if len(bounds) > 1 else ()
        return cls(role, variant, sha256, len(data), format, runtime, cpu, digests)

    @property
    def blob(self) -> Blob:
        """The blob with its bytes."""
        return Blob(self.sha256, self.size_bytes)

    def parts(self) -> Iterator[Part]:
        """Yield the ranges in which the bytes are verified."""
        bounds = self.blob.ranges() if self.part_digests else [(0, self.size_bytes)]
        for (start, stop), digest in zip(bounds, self.part_digests or (self.sha256,), strict=True):
            yield Part(start, stop, digest)

    def fits(self, runtime: Runtime | None) -> bool:
        """Return whether a runtime may load the artifact; without a runtime, whether every runtime may."""
        if self.format != ORT:
            return True
        return runtime is not None and self.runtime == runtime.version and self.cpu in {None, runtime.cpu}

    @property
    def must_be_checked(self) -> bool:
        """Whether the golden example must check the loaded artifact, because the file does not state its CPU layout."""
        return self.cpu is not None

    def preference(self) -> int:
        """Return the sort key for the fastest form first: laid out for a CPU, then optimised, then portable."""
        return 0 if self.cpu else 1 if self.format == ORT else 2


def parse_artifact(document: Document) -> Artifact:
    """Read one artifact of a manifest.

    Raises:
        ManifestError: a field is malformed.
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
    return hashing.sha256(data).hexdigest()
