"""The pace of S3: the bandwidth of a connection, and the time to the first byte of a response."""

import os
import socket
import time
from dataclasses import dataclass

CHUNK_BYTES = 256 * 1024
"""Bytes sent at a time: 3 ms at 85 MB/s. Smaller chunks would wake the server, which shares the CPUs, more often."""


@dataclass(frozen=True)
class Throttle:
    """The pace of a store.

    Source: AWS, "Best practices design patterns: optimizing Amazon S3 performance": 85 to 90 MB/s for one connection,
    and 100 to 200 ms for small objects at worst; 20 ms is a good day.
    """

    bandwidth: float | None = 85e6
    """Bytes per second on each connection; None for no limit."""
    first_byte_s: float = 0.020
    """Time from the end of a request to the first byte of its response."""

    @property
    def is_on(self) -> bool:
        """Whether the throttle slows anything down."""
        return self.bandwidth is not None or self.first_byte_s > 0

    def __str__(self) -> str:
        if not self.is_on:
            return "without a throttle"
        pace = "as fast as it can" if self.bandwidth is None else f"at {self.bandwidth / 1e6:g} MB/s a connection"
        return f"{pace}, {self.first_byte_s * 1000:g} ms to the first byte"

    def wait_first(self, arrived_s: float) -> float:
        """Wait until the response to a request may begin; return the time from which its bytes are paced."""
        begins_s = arrived_s + self.first_byte_s
        _wait_until(begins_s)
        return begins_s

    def send(self, connection: socket.socket, descriptor: int, offset: int, size: int, begins_s: float) -> None:
        """Send a part of a file, no byte before its time.

        The kernel copies the bytes from the page cache to the socket: on Lambda the sender would run on another
        machine, so here it must take as little CPU time as possible.

        Raises:
            OSError: The client has closed the connection.
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
