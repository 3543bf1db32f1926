"""Blob: immutable bytes of the registry, and the ranges in which they are fetched."""

from __future__ import annotations

from onnxlet.record import Record

MAX_BLOB_BYTES = 2 * 1024**3
"""Size of a blob: a protobuf message, and so an ONNX file, holds at most 2 GiB."""

MIN_RANGE_BYTES = 1024**2
"""Size of a range: a connection to S3 with 85 MB/s carries it in half the time of its first byte."""
MAX_RANGES = 16
"""Ranges of a blob, each on its own connection: more gain nothing on the networks of functions."""


class Blob(Record):
    """The name and size of immutable bytes in the registry."""

    sha256: str
    size_bytes: int

    def ranges(self) -> list[tuple[int, int]]:
        """Return start and stop of each range that is fetched in parallel; all ranges but the last are equally long."""
        length = max(MIN_RANGE_BYTES, -(-self.size_bytes // MAX_RANGES))
        return [(start, min(start + length, self.size_bytes)) for start in range(0, self.size_bytes, length)]


class Runtime(Record):
    """The version of ONNX Runtime and the class of CPUs with which a process loads graphs."""

    version: str
    cpu: str
    """The class of CPUs that `session.cpu_class` returns."""
