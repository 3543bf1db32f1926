"""A Lambda function on this machine: the real awslambdaric with our own Runtime API."""

import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import wait
from contextlib import ExitStack
from typing import IO, Any

from onnxlet_cli.assets import functions_folder
from onnxlet_cli.local.process import running
from onnxlet_cli.local.runtime_api import FunctionError, RuntimeApi

MEMORY_MIB = 1769
"""The memory of a function whose environment does not state it; it buys one full vCPU."""
TIMEOUT_S = 60.0
POLL_S = 0.05


class LambdaFunction:
    """An execution environment: it takes one event at a time, and a new process if the last one ended, as on Lambda."""

    def __init__(self, handler: str, environment: Mapping[str, str], log: IO[bytes] | None = None) -> None:
        self.handler = handler
        self.environment = environment
        self.log = log
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._api = RuntimeApi()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LambdaFunction":
        """Start the process, which begins Lambda's init phase."""
        self._start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self._stack.close()

    def invoke(self, event: object, timeout_s: float = TIMEOUT_S) -> Any:
        """Send an event and wait for the function's result.

        Raises:
            FunctionError: The function raised, did not start, took too long, or its process ended.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._stack.close()
                self._start()
            invocation = self._api.submit(event, timeout_s)
            for _ in range(int(timeout_s / POLL_S)):
                if wait([invocation.result], POLL_S).done:
                    return invocation.result.result()
                if self._process is not None and self._process.poll() is not None:
                    reason = self._api.init_error or f"its process ended with exit code {self._process.returncode}"
                    raise FunctionError(f"{self.handler}: {reason}")
            self._stack.close()
            raise FunctionError(f"{self.handler}: no answer within {timeout_s:.0f} s")

    def _start(self) -> None:
        self._api = RuntimeApi()
        address = self._stack.enter_context(self._api.serving())
        environment = {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MIB),
            **self.environment,
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "onnxlet",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "LAMBDA_TASK_ROOT": str(functions_folder()),
            "_HANDLER": self.handler,
        }
        command = ["python", "-m", "awslambdaric", self.handler]
        self._process = self._stack.enter_context(running(command, environment, self.log))
