"""The checkpoint: what a killed run goes on from, whole or not there, and the signal that asks a run to stop."""

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


class InterruptedRunError(Exception):
    """The run was asked to stop; it has saved what the next one goes on from."""


@dataclass
class State:
    """How far a training has come."""

    epochs_done: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    duration_s: float = 0.0

    def record(self, measures: dict[str, float], duration_s: float) -> bool:
        """Add an epoch's measures; whether it is the best so far by `val_loss`."""
        self.epochs_done += 1
        self.duration_s += duration_s
        for name, value in measures.items():
            self.history.setdefault(name, []).append(float(value))
        is_best = measures["val_loss"] < self.best_loss or self.best_epoch == 0
        if is_best:
            self.best_epoch, self.best_loss = self.epochs_done, float(measures["val_loss"])
        return is_best


class Checkpoints:
    """The newest whole checkpoint of a run; one is whole when its state is there, which is written last.

    Only a file is ever renamed: buckets that are mounted as folders (Vertex AI's `/gcs`) rename no folders.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder, made where it is missing."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, state: State, write: Callable[[Path], None]) -> None:
        """Save what `write` puts into a folder, then remove what was saved before."""
        older = [path for path in self._folder.iterdir() if path.name.isdigit()]
        path = self._folder / f"{1 + max((int(each.name) for each in older), default=0):08}"
        path.mkdir()
        write(path)
        partial = path / f"{STATE}.part"
        partial.write_text(json.dumps(asdict(state)))
        partial.rename(path / STATE)
        for each in older:
            shutil.rmtree(each, ignore_errors=True)

    def newest(self) -> tuple[State, Path] | None:
        """The state and the folder of the newest checkpoint; None where there is none."""
        saved = self._saved()
        if not saved:
            return None
        path = max(saved)
        return State(**json.loads((path / STATE).read_text())), path

    def _saved(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.name.isdigit() and (path / STATE).exists()]


def stopped_in(epoch: int) -> str:
    """Return the text of an InterruptedRunError in this epoch, the first of which is 1; those before are saved."""
    saved = f"{epoch - 1} epoch{' is' if epoch == 2 else 's are'} saved"
    return f"the training was stopped in epoch {epoch}; {saved}"


class StopSignal:
    """Whether the system has asked this process to end: spot instances get SIGTERM some time before they go."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.is_set = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Remember it; the training looks after each batch."""
        self.is_set = True


@contextmanager
def listening_for_stop() -> Iterator[StopSignal]:
    """Watch for SIGTERM while the context lasts, where this is the main thread, which alone may."""
    stop = StopSignal()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop.handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
