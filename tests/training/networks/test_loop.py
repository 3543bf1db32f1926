import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from onnxlet_training.checkpoint import State, StopSignal
from onnxlet_training.errors import InterruptedRunError
from onnxlet_training.networks.loop import AfterBatch, Loop, count_epochs
from onnxlet_training.networks.processes import Processes
from onnxlet_training.recipe import Options
from onnxlet_training.recipes.digits import RECIPE

BATCHES = 3


@dataclass
class Scripted:
    """A network whose validation losses are given, and which is asked to stop after a batch."""

    losses: list[float]
    stop: StopSignal = field(default_factory=StopSignal)
    stop_after: tuple[int, int] | None = None
    """Epoch and batch."""
    epochs: list[int] = field(default_factory=list)

    def train(self, epoch: int, after_batch: AfterBatch) -> dict[str, float]:
        self.epochs.append(epoch)
        for batch in range(BATCHES):
            self.stop.is_set = self.stop.is_set or (epoch, batch) == self.stop_after
            if after_batch():
                return {}
        return {"val_loss": self.losses[epoch]}

    def save(self, folder: Path, *, is_best: bool) -> None:
        (folder / "network").write_text(json.dumps(is_best))


@dataclass(frozen=True)
class Follower(Processes):
    """A process that is not the first, and gets the first one's data."""

    rank: int = 1
    count: int = 2
    first: str = ""

    def agree(self, data: bytes) -> bytes:  # noqa: ARG002 - the protocol's
        return self.first.encode()


def loop(folder: Path, job: Processes, epochs: int, console: Console | None = None) -> Loop:
    return Loop(job, folder, console or Console(quiet=True), epochs, BATCHES)


def test_training_ends_after_half_of_the_epochs_without_a_better_one(tmp_path: Path) -> None:
    network, course = Scripted([1.0, 0.5, *[0.6] * 8]), loop(tmp_path, Processes(), 10)
    state, saved = course.resume("network")
    assert saved == b""
    course.run(network, state)
    assert network.epochs == list(range(7))
    assert (state.best_epoch, state.best_loss) == (2, 0.5)


def test_three_epochs_without_a_better_one_are_always_allowed(tmp_path: Path) -> None:
    network, course = Scripted([1.0, 2.0, 2.0, 2.0]), loop(tmp_path, Processes(), 4)
    course.run(network, course.resume("network")[0])
    assert network.epochs == [0, 1, 2, 3]


def test_a_stopped_run_keeps_what_it_has_and_resumes_in_the_same_epoch(tmp_path: Path) -> None:
    network = Scripted([0.9, 0.8, 0.7], stop_after=(1, 0))
    course = loop(tmp_path, Processes(stop=network.stop), 3)
    with pytest.raises(InterruptedRunError, match="stopped in epoch 2; 1 epoch is saved"):
        course.run(network, course.resume("network")[0])
    again, course = Scripted([0.9, 0.8, 0.7]), loop(tmp_path, Processes(), 3)
    state, saved = course.resume("network")
    assert json.loads(saved) is False, "the best epoch was the first, not the one that was stopped"
    course.run(again, state)
    assert again.epochs == [1, 2]
    assert state.history["val_loss"] == [0.9, 0.8, 0.7]


def test_a_process_that_is_not_the_first_takes_its_measures_and_keeps_nothing(tmp_path: Path) -> None:
    network, lines = Scripted([5.0, 5.0]), io.StringIO()
    course = loop(tmp_path, Follower(first='{"val_loss": 0.25}'), 2, Console(file=lines))
    state = State()
    course.run(network, state)
    assert state.history == {"val_loss": [0.25, 0.25]}
    assert lines.getvalue() == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("options", "epochs"), [(Options(), 24), (Options(is_fast=True), 3), (Options(epochs=7, is_fast=True), 7)]
)
def test_the_users_epochs_go_before_a_fast_runs_and_the_recipes(options: Options, epochs: int) -> None:
    assert count_epochs(RECIPE, options) == epochs
