"""A blob: immutable bytes of the registry, and the ranges that they are fetched in."""

from __future__ import annotations

from onnxlet.record import Record

MAX_BLOB_BYTES = 2 * 1024**3
"""ONNX's own bound: a protobuf message holds at most 2 GiB."""

MIN_RANGE_BYTES = 1024**2
"""What a connection to S3 carries, at 85 MB/s, in half the time that its first byte takes."""
MAX_RANGES = 16
"""Connections at once: more gain nothing on the networks of functions."""


class Blob(Record):
    """Bytes of the registry, by what is needed to ask for them."""

    sha256: str
    size_bytes: int

    def ranges(self) -> list[tuple[int, int]]:
        """Where the parts begin and end that it is fetched in at once; all but the last are of one length."""
        length = max(MIN_RANGE_BYTES, -(-self.size_bytes // MAX_RANGES))
        return [(start, min(start + length, self.size_bytes)) for start in range(0, self.size_bytes, length)]


class Runtime(Record):
    """What a process loads graphs with: a version of ONNX Runtime on a class of CPUs."""

    version: str
    cpu: str
    """As `session.cpu_class` names it."""
