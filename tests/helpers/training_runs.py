"""Training runs as the command starts them, and how far they have come."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

EPOCHS = 8


def start(folder: Path, arguments: list[str], environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start `onnxlet` in a folder."""
    command = [sys.executable, "-m", "onnxlet_cli.main", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def train(
    folder: Path, recipe: str, out: str = "run", *options: str, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start a fast run of some epochs."""
    arguments = ["train", recipe, "--fast", "--epochs", str(EPOCHS), "--out", out, *options]
    return start(folder, arguments, environment)


def wait_for_checkpoint(process: "subprocess.Popen[str]", folder: Path, epochs: int) -> None:
    """Wait until so many epochs are saved, or the process has ended."""
    deadline = time.monotonic() + 120
    while process.poll() is None and epochs_done(folder) < epochs and time.monotonic() < deadline:
        time.sleep(0.02)


def epochs_done(folder: Path) -> int:
    """Return how many epochs the run's checkpoints hold."""
    found = 0
    for path in folder.glob("run/checkpoints*/*/state.json"):
        try:
            found = max(found, json.loads(path.read_text())["epochs_done"])
        except (OSError, ValueError):  # just being replaced
            continue
    return found
