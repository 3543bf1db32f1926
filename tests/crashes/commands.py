"""The commands that are killed: `onnxlet` as a user runs it, in a process that has imported it already."""

import contextlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import onnx

from tests.helpers import forked, graphs

forked.preload("tests.crashes.commands")

NAMES = ("a", "b")

STEPS = (
    "publish catalogue",
    "publish newer",
    "publish newest --stage",
    "canary a {staged}",
    "promote a {staged}",
    "rollback a",
)
"""What a user does, one after another; with the number that the staged version got."""


@dataclass
class Done:
    """What was told to the user."""

    steps: int = 0
    staged: int = 0
    moves: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: {name: [] for name in NAMES})
    """The moves of `live` that were told, by model."""
    versions: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def add(self, told: Any) -> None:
        """Take the output of the next step."""
        action = STEPS[self.steps].partition(" ")[0]
        for each in told if isinstance(told, list) else [told]:
            name, version = each["model"], each["version"]
            if action == "publish":
                self.versions[name].append(version)
            if action == "canary" or each["live"]:
                self.moves[name].append((action, version))
            else:
                self.staged = version
        self.steps += 1


def write_models(folder: Path) -> None:
    """The folders that the steps publish."""
    for seed, path in enumerate(("catalogue/a.onnx", "catalogue/b.onnx", "newer/a.onnx", "newest/a.onnx")):
        (folder / path).parent.mkdir(exist_ok=True)
        onnx.save(graphs.classifier(seed), folder / path)


def start(folder: Path, environment: Mapping[str, str], done: Done) -> tuple[Any, Connection]:
    """Run the steps that are not done; gives the process, and the end of a pipe that gets the output of each."""
    ours, theirs = forked.context.Pipe(duplex=False)
    process = forked.process(run, folder, dict(environment), done.steps, done.staged, theirs)
    process.start()
    theirs.close()
    return process, ours


def run(folder: Path, environment: dict[str, str], first: int, staged: int, told: Connection) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    from onnxlet_cli.main import app

    for step in STEPS[first:]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            app([*step.format(staged=staged).split(), "--json"], standalone_mode=False)
        if step.endswith("--stage"):
            staged = json.loads(output.getvalue())[0]["version"]
        told.send(output.getvalue())


def finish(process: Any, told: Connection, done: Done) -> int:
    """Wait for the end of a process, and take what it has told; gives its exit code, below zero for a signal."""
    with contextlib.suppress(EOFError):
        while True:
            done.add(json.loads(told.recv()))
    process.join()
    assert process.exitcode is not None
    return int(process.exitcode)
