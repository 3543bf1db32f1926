"""The training loop, which every framework shares: epochs, patience, checkpoints, progress, and a common stop."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from onnxlet_training.checkpoint import STATE, Checkpoints, State
from onnxlet_training.errors import InterruptedRunError
from onnxlet_training.networks.processes import Processes
from onnxlet_training.progress import Report
from onnxlet_training.recipe import Options, Recipe

FAST_EPOCHS = 3
PATIENCE, MIN_PATIENCE = 0.5, 3
"""Training ends after this share of all epochs, but at least so many, without a better one."""

AfterBatch = Callable[[], bool]
"""Called after each batch; returns whether training must end now."""


class Trainer(Protocol):
    """A network in training, in one framework: the two things that the loop cannot do itself."""

    def train(self, epoch: int, after_batch: AfterBatch) -> dict[str, float]:
        """Train and validate for one epoch, of which the first is 0, and return its measures.

        `val_loss` is one of the measures. When `after_batch` returns True, training ends and the measures do not count.
        """

    def save(self, folder: Path, *, is_best: bool) -> None:
        """Write the files of a checkpoint into a folder; the best weights are in each checkpoint."""


def count_epochs(recipe: Recipe, options: Options) -> int:
    """Return how many epochs a run trains at most."""
    return options.epochs or (FAST_EPOCHS if options.is_fast else recipe.epochs)


class Loop:
    """The epochs of one run in one process; all processes of a job run it together."""

    def __init__(self, job: Processes, folder: Path, console: Console, epochs: int, batches: int) -> None:
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self._job = job
        self._epochs = epochs
        logs = folder / "tensorboard" if job.is_first else None
        self._report = Report(console if job.is_first else Console(quiet=True), epochs, batches, logs)

    def resume(self, file: str) -> tuple[State, bytes]:
        """Return the state and one file of the first process's newest checkpoint, in every process.

        Without a checkpoint the state is new and the file is empty.
        """
        newest = self.checkpoints.newest() if self._job.is_first else None
        files = [b"" if newest is None else (newest / name).read_bytes() for name in (STATE, file)]
        document, content = map(self._job.agree, files)
        return (State(**json.loads(document)), content) if document else (State(), b"")

    def run(self, trainer: Trainer, state: State) -> None:
        """Train epoch by epoch and save a checkpoint after each, until the epochs or the patience are used up.

        All processes use the first one's measures, so that no two disagree about when to end.

        Raises:
            InterruptedRunError: a process of the job was asked to end; a checkpoint is saved.
        """
        patience = max(MIN_PATIENCE, round(self._epochs * PATIENCE))
        with self._report as report:
            while state.epochs_done < self._epochs and state.epochs_done - state.best_epoch < patience:
                epoch = state.epochs_done
                report.begin(epoch)
                started_s = time.perf_counter()
                watch = _Watch(self._job, report, step=epoch * report.batches)
                measures = trainer.train(epoch, watch.after_batch)
                if watch.must_stop:
                    self._save(trainer, state, is_best=False)
                    saved = f"{epoch} epoch{' is' if epoch == 1 else 's are'} saved"
                    raise InterruptedRunError(f"the training was stopped in epoch {epoch + 1}; {saved}")
                measures = json.loads(self._job.agree(json.dumps(measures).encode()))
                is_best = state.record(measures, time.perf_counter() - started_s)
                self._save(trainer, state, is_best=is_best)
                report.end(epoch, measures)

    def _save(self, trainer: Trainer, state: State, *, is_best: bool) -> None:
        if self._job.is_first:
            self.checkpoints.save(state, lambda folder: trainer.save(folder, is_best=is_best))


@dataclass
class _Watch:
    """The state of one epoch between its batches."""

    job: Processes
    report: Report
    step: int
    must_stop: bool = False

    def after_batch(self) -> bool:
        """Advance the progress bar and return whether all processes must stop now."""
        self.report.advance()
        self.must_stop = self.must_stop or self.job.must_stop(self.step)
        self.step += 1
        return self.must_stop
