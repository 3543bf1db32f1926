"""The Lambda Runtime API: the HTTP API from which awslambdaric gets events and to which it posts results.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

import json
import queue
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from onnxlet_cli.local.http import Handler, serving

PREFIX = "/2018-06-01/runtime/"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:onnxlet"


class FunctionError(Exception):
    """The function raised, did not start, or its process ended, so Lambda has no result."""


@dataclass
class Invocation:
    """One event on its way through the function."""

    event: bytes
    deadline_ms: int
    """The deadline in milliseconds of Unix time."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: Future[Any] = field(default_factory=Future)
    """The function's result, or a FunctionError if it raised."""


class RuntimeApi:
    """The endpoints for one process of a function."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Invocation | None] = queue.Queue()
        self._running: dict[str, Invocation] = {}
        self.init_error: str | None = None

    def submit(self, event: object, timeout_s: float) -> Invocation:
        """Queue an event for the process."""
        invocation = Invocation(json.dumps(event).encode(), int((time.time() + timeout_s) * 1000))
        self._waiting.put(invocation)
        return invocation

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the API, and yield its host and port as `AWS_LAMBDA_RUNTIME_API` expects them."""
        api = self

        class RuntimeHandler(Handler):
            def do_GET(self) -> None:
                """Answer `restore/next` at once, and `invocation/next` when there is an event."""
                if self.path.endswith("/restore/next"):
                    self.reply(200, b"", {})
                    return
                invocation = api.take()
                if invocation is None:
                    self.close_connection = True
                    return
                headers = {
                    "content-type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": invocation.id,
                    "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                    "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
                    "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{invocation.id.replace('-', '')[:24]}",
                }
                self.reply(200, invocation.event, headers)

            def do_POST(self) -> None:
                """Accept `invocation/{id}/response`, `invocation/{id}/error` and `init/error`."""
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                api.accept(self.path.removeprefix(PREFIX), body)
                self.reply(202, b"{}", {"content-type": "application/json"})

        with serving(RuntimeHandler) as url:
            try:
                yield url.removeprefix("http://")
            finally:
                self._waiting.put(None)  # frees the thread that waits for an event

    def take(self) -> Invocation | None:
        """Wait for the next event and return it; None if the API is closing."""
        invocation = self._waiting.get()
        if invocation is not None:
            self._running[invocation.id] = invocation
        return invocation

    def accept(self, path: str, body: bytes) -> None:
        """Store the result or the error that the process posts."""
        if path == "init/error":
            self.init_error = _describe(body)
            return
        _, invocation_id, kind = path.split("/")
        invocation = self._running.pop(invocation_id)
        if kind == "error":
            invocation.result.set_exception(FunctionError(_describe(body)))
        else:
            invocation.result.set_result(json.loads(body))


def _describe(body: bytes) -> str:
    try:
        document = json.loads(body)
        return f"{document['errorType']}: {document['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return body[:500].decode("utf-8", "replace")
