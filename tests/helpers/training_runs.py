"""Training runs as the command starts them, and how far they have come."""

import json
import subprocess
import time
from pathlib import Path

from tests.helpers.forked import Forked, preload, run

EPOCHS = 8


preload(
    "onnxlet_training.run",
    "keras",
    "sklearn.datasets",
    "scipy.ndimage",
    "tf2onnx",
    "matplotlib.pyplot",
    "jinja2",
)


def start(folder: Path, arguments: list[str]) -> Forked:
    """Start `onnxlet` in a folder."""
    return Forked(arguments, folder)


def fast_arguments(recipe: str, out: str) -> list[str]:
    """Return the arguments of a fast run of some epochs."""
    return ["train", recipe, "--fast", "--epochs", str(EPOCHS), "--out", out]


def train(folder: Path, recipe: str, out: str = "run") -> Forked:
    """Start a fast run of some epochs."""
    return start(folder, fast_arguments(recipe, out))


def train_to_the_end(folder: Path, recipe: str, *options: str) -> None:
    """Run `onnxlet train RECIPE --fast --out run` in a folder."""
    done = run(["train", recipe, "--fast", "--out", "run", *options], folder)
    assert done.returncode == 0, done.stderr


def wait_for_checkpoint(process: "Forked | subprocess.Popen[str]", folder: Path, epochs: int) -> None:
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
