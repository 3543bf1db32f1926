"""Checkpoints: the state from which a killed run resumes, and the signal that asks a run to stop."""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

STATE = "state.json"


@dataclass
class State:
    """The progress of a training."""

    epochs_done: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    duration_s: float = 0.0

    def record(self, measures: dict[str, float], duration_s: float) -> bool:
        """Add an epoch's measures and return whether its `val_loss` is the best so far."""
        self.epochs_done += 1
        self.duration_s += duration_s
        for name, value in measures.items():
            self.history.setdefault(name, []).append(float(value))
        is_best = measures["val_loss"] < self.best_loss or self.best_epoch == 0
        if is_best:
            self.best_epoch, self.best_loss = self.epochs_done, float(measures["val_loss"])
        return is_best


class Checkpoints:
    """The checkpoints of a run; one is complete if its state file is there, which is written last.

    Only files are renamed: buckets that are mounted as folders (Vertex AI's `/gcs`) cannot rename folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, state: State, write: Callable[[Path], None]) -> None:
        """Save the state next to the files that `write` puts into a new folder, then remove older checkpoints."""
        older = [path for path in self._folder.iterdir() if path.name.isdigit()]
        path = self._folder / f"{1 + max((int(folder.name) for folder in older), default=0):08}"
        path.mkdir()
        write(path)
        partial = path / f"{STATE}.part"
        partial.write_text(json.dumps(asdict(state)))
        partial.rename(path / STATE)
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)

    def newest(self) -> Path | None:
        """Return the folder of the newest complete checkpoint; None if there is no checkpoint."""
        return max(
            (path for path in self._folder.iterdir() if path.name.isdigit() and (path / STATE).exists()), default=None
        )


class StopSignal:
    """Whether the system has asked this process to end: a spot instance gets SIGTERM shortly before it disappears."""

    def __init__(self) -> None:
        self.is_set = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Remember the signal; the training checks after each batch."""
        self.is_set = True


@contextmanager
def listening_for_stop() -> Iterator[StopSignal]:
    """Watch for SIGTERM while the context lasts; outside the main thread Python allows no handler."""
    stop = StopSignal()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop.handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
