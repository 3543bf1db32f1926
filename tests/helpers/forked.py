"""The command in processes that are forked from one that has imported its libraries already.

Most tests need the command in a process of its own, but not the imports of a new interpreter, which take 7 seconds of
CPU time for Keras and up to one for the rest. The process that is forked has imported modules and used none of them.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO

context = multiprocessing.get_context("forkserver")
_preloaded = [
    "onnxlet_cli.main",
    "onnxlet_publishing.importers",
    "onnxlet_publishing.publish",
    "onnxlet_cli.commands.models",
    "onnxlet_cli.commands.predict",
    "onnxlet_cli.commands.publish",
    "boto3",
    "obstore.auth.boto3",
    "tests.helpers.forked",
]


def preload(*modules: str) -> None:
    """Import these modules, too, before the first process is forked; a library that is not installed is left out."""
    _preloaded.extend(modules)


def process(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Return a process that is forked when it starts; obstore, once used, would not survive a fork of this one."""
    context.set_forkserver_preload(_preloaded)
    return context.Process(target=target, args=arguments, daemon=True)


class Forked:
    """A process that runs the command, with the members of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._output, self._error = (
            tempfile.NamedTemporaryFile("r")  # noqa: SIM115 - it is closed with the process's object
            for _ in range(2)
        )
        paths = self._output.name, self._error.name
        given = dict(os.environ if environment is None else environment)
        self._process = process(_run, arguments, str(folder), given, paths)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end and return the output and the error stream."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("onnxlet", timeout or 0)
        return _whole(self._output), _whole(self._error)

    def wait_for_error_line(self, timeout: float = 60) -> str:
        """Return the first line of the error stream as soon as it is written."""
        deadline = time.monotonic() + timeout
        while "\n" not in (text := _whole(self._error)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return text.partition("\n")[0]

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        if self.returncode is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None, timeout: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Run the command in a folder to its end."""
    forked = Forked(arguments, folder, environment)
    try:
        output, error = forked.communicate(timeout)
    except subprocess.TimeoutExpired:
        forked.kill()
        raise
    assert forked.returncode is not None
    return subprocess.CompletedProcess(arguments, forked.returncode, output, error)


def _whole(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _run(arguments: list[str], folder: str, environment: dict[str, str], streams: tuple[str, str]) -> None:
    os.chdir(folder)
    set_by_imports = {name: value for name, value in os.environ.items() if name.startswith("TF_")}
    os.environ.clear()
    os.environ.update(set_by_imports | environment)
    for stream, path in zip((sys.stdout, sys.stderr), streams, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    from onnxlet_cli.main import main

    sys.argv = ["onnxlet", *arguments]
    main()
