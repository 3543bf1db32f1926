"""A process that is asked for the times of warm calls: the functions' own `main`, or a reference, already loaded.

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
from types import TracebackType
from typing import Any

import numpy as np

from onnxlet_cli.bench.calls import FACTORIES, Call, answer_of
from onnxlet_cli.bench.fresh import FreshProcessError
from onnxlet_cli.bench.payloads import check_close

REPOSITORY = Path(__file__).parents[3]


class Worker(AbstractContextManager["Worker"]):
    """The parent's side: a worker process for one model."""

    def __init__(self, model: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Start the process.

        Args:
            model: The model's name in the registry and its file's.
            folder: The model's folder in the cache.
            environment: All that the process is told.
        """
        command = [sys.executable, "-m", "onnxlet_cli.bench.worker", model, str(folder)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def measure(self, case: str, calls: int, argument: Any = None) -> list[float]:
        """The seconds of so many calls in a row; an `argument` is handed to each.

        Raises:
            FreshProcessError: the process has ended, or said why it cannot.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([case, calls, argument]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else "its process has ended"
        if isinstance(answer, str):
            raise FreshProcessError(f"{case}: {answer}")
        seconds: list[float] = answer
        return seconds


def python_path(folders: Sequence[Path]) -> dict[str, str]:
    """The variable by which a worker finds the functions, the references and this package."""
    return {"PYTHONPATH": os.pathsep.join(map(str, [*folders, REPOSITORY]))}


def answer(calls: dict[str, Call], model: str, folder: Path, request: Sequence[Any]) -> list[float] | str:
    """The seconds of each call that the parent asks for, or why there are none."""
    case, count, argument = request
    if case not in calls:
        calls[case] = FACTORIES[case](model, folder)
        if argument is None:  # an answer to the model's inputs, which is known
            check_close(case, answer_of(calls[case](None)), np.load(folder / "expected.npy"))
    call, seconds = calls[case], []
    for _ in range(count):
        started_s = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - started_s)
    return seconds


def main(model: str, folder: Path) -> None:
    """Answer the parent until it ends; what the functions log goes nowhere, as fast as to Lambda's pipe."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    calls: dict[str, Call] = {}
    for line in sys.stdin:
        try:
            found: list[float] | str = answer(calls, model, folder, json.loads(line))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        channel.write(json.dumps(found) + "\n")
        channel.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
