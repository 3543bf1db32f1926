"""How fast S3 answers: what one connection gets, and how long it waits for its first byte."""

import os
import socket
import time
from dataclasses import dataclass

CHUNK_BYTES = 256 * 1024
"""Sent at a time: 3 ms at 85 MB/s. Smaller ones would wake the server, which shares our CPUs, more often."""


@dataclass(frozen=True)
class Throttle:
    """The pace of a store.

    Source: AWS, "Best practices design patterns: optimizing Amazon S3 performance": 85 to 90 MB/s for one connection,
    and 100 to 200 ms for small objects at worst; 20 ms is a good day's.
    """

    bandwidth: float | None = 85e6
    """Bytes per second on each connection; None has no limit."""
    first_byte_s: float = 0.020
    """From the end of a request to the first byte of its answer."""

    @property
    def is_on(self) -> bool:
        """Whether it slows anything down."""
        return self.bandwidth is not None or self.first_byte_s > 0

    def __str__(self) -> str:
        if not self.is_on:
            return "without a throttle"
        pace = "as fast as it can" if self.bandwidth is None else f"at {self.bandwidth / 1e6:g} MB/s a connection"
        return f"{pace}, {self.first_byte_s * 1000:g} ms to the first byte"

    def wait_first(self, asked_s: float) -> float:
        """Wait until an answer may begin; gives the time from which its bytes are counted.

        Args:
            asked_s: When the request had arrived, by `time.perf_counter`.
        """
        begins_s = asked_s + self.first_byte_s
        _wait_until(begins_s)
        return begins_s

    def send(self, connection: socket.socket, descriptor: int, offset: int, size: int, begins_s: float) -> None:
        """Send a part of a file, no byte before its time.

        The bytes go from the page cache to the socket inside of the kernel: the sender's work would not be the
        function's on Lambda, and shall take as little of the CPUs as it can here.

        Raises:
            OSError: the client has gone.
        """
        sent = 0
        while sent < size:
            chunk = min(CHUNK_BYTES, size - sent)
            if self.bandwidth is not None:
                _wait_until(begins_s + (sent + chunk) / self.bandwidth)
            end = sent + chunk
            while sent < end:
                sent += os.sendfile(connection.fileno(), descriptor, offset + sent, end - sent)


def _wait_until(moment_s: float) -> None:
    remaining_s = moment_s - time.perf_counter()
    if remaining_s > 0:
        time.sleep(remaining_s)
