"""A worker process that times warm calls of the functions' own `main` or of a baseline.

The parent writes a line with a case and a number of calls; the worker answers with the seconds of each.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench.payloads import check_close
from onnxlet_cli.bench.warm_calls import FACTORIES, Call, output_of
from onnxlet_cli.errors import FreshProcessError

REPOSITORY = Path(__file__).parents[3]


class Worker(AbstractContextManager["Worker"]):
    """The parent's side: a worker process for one model."""

    def __init__(self, model: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Start the process in this whole environment, for a model and its folder in the cache."""
        command = [sys.executable, "-m", "onnxlet_cli.bench.worker", model, str(folder)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def measure(self, case: str, calls: int, argument: Any = None) -> list[float]:
        """Return the seconds of each of several calls in a row, all with the same argument.

        Raises:
            FreshProcessError: The process has ended, or reports an error.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([case, calls, argument]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        durations_s: list[float] | str = json.loads(line) if line else "its process has ended"
        if isinstance(durations_s, str):
            raise FreshProcessError(f"{case}: {durations_s}")
        return durations_s


def python_path(folders: Sequence[Path]) -> dict[str, str]:
    """Return the variable by which a worker finds the functions, the baselines and this package."""
    return {"PYTHONPATH": os.pathsep.join(map(str, [*folders, REPOSITORY]))}


def answer(calls: dict[str, Call], model: str, folder: Path, request: Sequence[Any]) -> list[float] | str:
    """Return the seconds of each call that the parent requests, or the text of an error."""
    case, count, argument = request
    if case not in calls:
        calls[case] = FACTORIES[case](model, folder)
        if argument is None:  # the call is of the model's own inputs, whose output is known
            check_close(case, output_of(calls[case](None)), np.load(folder / "expected.npy"))
    call, seconds = calls[case], []
    for _ in range(count):
        started_s = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - started_s)
    return seconds


def main(model: str, folder: Path) -> None:
    """Answer the parent until it ends; the functions' log is discarded, which is as fast as Lambda's pipe."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    calls: dict[str, Call] = {}
    for line in sys.stdin:
        try:
            reply: list[float] | str = answer(calls, model, folder, json.loads(line))
        except Exception as error:
            reply = f"{type(error).__name__}: {error}"
        channel.write(json.dumps(reply) + "\n")
        channel.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
