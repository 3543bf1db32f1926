"""Fresh processes, timed from spawn to first answer: a program, or a function under awslambdaric.

The parent does as little as possible meanwhile: it waits in the kernel, and notes the time when the answer arrives.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from onnxlet_cli.errors import FreshProcessError
from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.runtime_api import FUNCTION_ARN

TIMEOUT_S = 120.0
RECEIVE_BYTES = 1024 * 1024

NEXT = "/2018-06-01/runtime/invocation/next"
RESPONSE = "/2018-06-01/runtime/invocation/bench/response"


@dataclass(frozen=True)
class Command:
    """A command line, its folder and its environment."""

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    """The whole environment of the process, which inherits nothing from this one."""


@dataclass(frozen=True)
class Outcome:
    """The time, the answer and the memory of a fresh process."""

    seconds: float
    """Time from just before the spawn to the last byte of the answer."""
    body: bytes
    peak_bytes: int
    """The largest resident memory of the process until then (`VmHWM`)."""


def run_program(command: Command, answer_bytes: int, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Run a program until it has written an answer of `answer_bytes`; it must then wait for the end of its input.

    Raises:
        FreshProcessError: The program ended or took too long before that.
    """
    with tempfile.TemporaryFile() as log:
        started_s = time.perf_counter()
        with _started(command, log, subprocess.PIPE) as process:
            assert process.stdout is not None
            body = _read(process.stdout, answer_bytes, started_s + timeout_s)
            seconds = time.perf_counter() - started_s
            if len(body) < answer_bytes:
                raise _failure(command, log)
            return _finish(process, seconds, body)


def run_function(command: Command, event: bytes, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Run awslambdaric until the function has answered one event; the outcome's body is what it posted.

    Raises:
        FreshProcessError: The function posted an error, ended or took too long.
    """
    with socket.create_server((HOST, 0)) as listener, tempfile.TemporaryFile() as log:
        address = f"{HOST}:{listener.getsockname()[1]}"
        command = replace(command, environment={**command.environment, "AWS_LAMBDA_RUNTIME_API": address})
        started_s = time.perf_counter()
        with _started(command, log, log) as process, closing(_RuntimeApi(listener, event)) as api:
            body = api.serve(process, started_s + timeout_s)
            seconds = api.answered_s - started_s
            if body is None:
                raise _failure(command, log, api.error)
            return _finish(process, seconds, body)


@contextmanager
def _started(command: Command, log: IO[bytes], output: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and kill it when the context ends."""
    process = subprocess.Popen(
        [sys.executable if word == "python" else word for word in command.arguments],
        cwd=command.folder,
        env=command.environment,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _finish(process: subprocess.Popen[bytes], seconds: float, body: bytes) -> Outcome:
    """Read the process's memory, and return the outcome."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return Outcome(seconds, body, int(peak.split()[1]) * 1024)


def _read(stream: IO[bytes], size: int, deadline_s: float) -> bytes:
    """Read `size` bytes of a pipe, or fewer if the pipe ends or the deadline passes."""
    parts = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(parts) < size and selector.select(max(0.0, deadline_s - time.perf_counter())):
            part = os.read(stream.fileno(), size - len(parts))
            if not part:
                break
            parts += part
    return parts


def _failure(command: Command, log: IO[bytes], error: str = "") -> FreshProcessError:
    log.seek(0)
    log_end = log.read().decode("utf-8", "replace").strip()[-2000:]
    return FreshProcessError(f"{' '.join(command.arguments)}: no answer: {error} {log_end}")


@dataclass
class _RuntimeApi:
    """Lambda's Runtime API for one process and one event, without a thread."""

    listener: socket.socket
    event: bytes
    answered_s: float = 0.0
    error: str = ""
    _unread: dict[socket.socket, bytearray] = field(default_factory=dict)

    def serve(self, process: subprocess.Popen[bytes], deadline_s: float) -> bytes | None:
        """Send the event and return the answer to it; None if the function does not answer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while time.perf_counter() < deadline_s and process.poll() is None:
                for key, _ in selector.select(timeout=0.5):
                    assert isinstance(key.fileobj, socket.socket)
                    body = self._receive(key.fileobj, selector)
                    if body is not None:
                        return body
                    if self.error:
                        return None
            return None

    def close(self) -> None:
        """Close the connections, which ends the function: its memory must be read first."""
        for connection in self._unread:
            connection.close()

    def _receive(self, ready: socket.socket, selector: selectors.BaseSelector) -> bytes | None:
        """Read from a socket; return the answer if that was its last part."""
        if ready is self.listener:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._unread[connection] = bytearray()
            selector.register(connection, selectors.EVENT_READ)
            return None
        data = ready.recv(RECEIVE_BYTES)
        arrived_s = time.perf_counter()
        unread = self._unread[ready]
        unread += data
        if not data:
            selector.unregister(ready)
            return None
        request = _whole_request(unread)
        if request is None:
            return None
        unread.clear()
        return self._reply(ready, *request, arrived_s)

    def _reply(self, connection: socket.socket, path: str, body: bytes, arrived_s: float) -> bytes | None:
        if path == NEXT:
            with suppress(BrokenPipeError):
                connection.sendall(_event_reply(self.event))
            return None
        if path == RESPONSE:
            self.answered_s = arrived_s
            return body
        self.error = f"{path}: {body.decode('utf-8', 'replace')[:1000]}"
        return None


def _whole_request(data: bytearray) -> tuple[str, bytes] | None:
    """Return the path and the body of an HTTP request; None while a part of it is missing."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if len(body) < int(headers.get("content-length", 0)):
        return None
    return first.split()[1], bytes(body)


def _event_reply(event: bytes) -> bytes:
    deadline_ms = int((time.time() + TIMEOUT_S) * 1000)
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": "bench",
        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
        "Content-Length": str(len(event)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + event
