"""Lambda's runtimes on this machine: awslambdaric before our Runtime API, or before AWS's Runtime Interface Emulator.

The emulator is the program that stands in Lambda's own images; the aws-sam-cli wheel brings it.
"""

import json
import platform
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

from onnxlet_cli.assets import functions_folder
from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.lambda_function import MEMORY_MIB, TIMEOUT_S, LambdaFunction
from onnxlet_cli.local.process import running
from onnxlet_cli.local.runtime_api import FunctionError
from onnxlet_cli.package.interpreter import emulated
from onnxlet_cli.package.target import DEFAULT_PYTHON, MACHINES, Target

ROOT = Path(__file__).parents[2]

ARCH = next(name for name, machine in MACHINES.items() if machine == platform.machine())
RIE = next(ROOT.glob(f".venv-deploy/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCH}"), None)

EMULATED = emulated(DEFAULT_PYTHON, has_cpu_files=False)

CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""What Lambda's runtime has, and no package brings."""

START_TIMEOUT_S = 30
POLL_S = 0.05


class Function(Protocol):
    """A function that runs."""

    def invoke(self, event: object) -> Any:
        """Send an event and return the function's result; raises FunctionError where it failed."""


Start = Callable[[str, Mapping[str, str], IO[bytes]], AbstractContextManager[Function]]
"""Runs a handler (`main.aws_http`) with these variables and a log, until the context ends."""


@dataclass(frozen=True)
class Deployed:
    """What the emulator starts."""

    folder: Path = field(default_factory=functions_folder)
    python: Sequence[str] = ("python",)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EmulatedFunction:
    """A function behind the emulator."""

    url: str

    def invoke(self, event: object) -> Any:
        request = urllib.request.Request(self.url, json.dumps(event).encode())
        try:
            with urllib.request.urlopen(request, timeout=2 * TIMEOUT_S) as reply:
                result = json.loads(reply.read())
        except urllib.error.HTTPError as error:  # as of a process that does not start
            with error:
                raise FunctionError(error.read().decode()) from error
        if isinstance(result, dict) and "errorType" in result:
            raise FunctionError(f"{result['errorType']}: {result['errorMessage']}")
        return result


@contextmanager
def emulating(
    handler: str, environment: Mapping[str, str], log: IO[bytes], deployed: Deployed | None = None
) -> Iterator[EmulatedFunction]:
    """Run a handler behind the emulator; without another deployment, that of this checkout."""
    assert RIE is not None
    deployed = deployed or Deployed()
    port, api_port = free_port(), free_port()
    addresses = [
        "--runtime-interface-emulator-address",
        f"{HOST}:{port}",
        "--runtime-api-address",
        f"{HOST}:{api_port}",
    ]
    command = [str(RIE), *addresses, *deployed.python, "-m", "awslambdaric", handler]
    limits = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MIB),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": f"{TIMEOUT_S:.0f}",
    }
    with running(command, {**limits, **deployed.environment, **environment}, log, deployed.folder) as process:
        wait_for(port, process)
        yield EmulatedFunction(f"http://{HOST}:{port}/2015-03-31/functions/function/invocations")


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
    raise TimeoutError("the Runtime Interface Emulator does not listen")


def deploy_arm64(folder: Path) -> Deployed:
    """Unpack the package for arm64, and the runtime client beside it, for the emulated Python."""
    from onnxlet_cli.package.build import Options, build  # with onnx, which other tests of events do without
    from onnxlet_cli.package.wheels import pip_command

    target = Target("aws", "arm64", DEFAULT_PYTHON)
    task, client = folder / "task", folder / "client"
    with zipfile.ZipFile(build(Options(target, folder), lambda _: None).path) as archive:
        archive.extractall(task)
    versions = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = [f"{name}=={versions[name]}" for name in CLIENT]
    subprocess.run([*pip_command(target), "--no-deps", "--target", str(client), *pins], check=True, timeout=600)
    return Deployed(task, EMULATED.command, {"PYTHONPATH": str(client), "PYTHONDONTWRITEBYTECODE": "1"})


NEEDS_RIE = [pytest.mark.rie, pytest.mark.skipif(RIE is None, reason="needs `make arm64`")]
NEEDS_ARM64 = [
    *NEEDS_RIE,
    pytest.mark.arm64,
    pytest.mark.skipif(not EMULATED.python.exists(), reason="needs `make arm64`"),
]

BEHIND_THE_EMULATOR = [pytest.param("rie", marks=NEEDS_RIE), pytest.param("rie on arm64", marks=NEEDS_ARM64)]
RUNTIMES = ["awslambdaric", *BEHIND_THE_EMULATOR]


def start(name: str, folder: Path) -> Start:
    """Return what starts functions in a runtime, one of `RUNTIMES`; the folder is empty."""
    if name == "awslambdaric":
        return LambdaFunction
    return emulating if name == "rie" else partial(emulating, deployed=deploy_arm64(folder))
