"""Progress: an epoch while it runs, as a bar with the time left on a terminal, or as a line elsewhere."""

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

FIGURES = TextColumn("{task.fields[figures]}")


class Report:
    """The course of a training, on a console and in TensorBoard's logs."""

    def __init__(self, console: Console, epochs: int, batches: int, logs: Path | None) -> None:
        self.batches = batches
        self._console = console
        self._epochs = epochs
        self._logs = logs
        self._started_s = 0.0
        columns = (TextColumn("  {task.description}"), BarColumn(), TimeRemainingColumn(), FIGURES)
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("training", total=epochs * batches, figures="")

    def __enter__(self) -> "Report":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the bar."""
        if not self._bar.disable:  # older versions of rich would print an empty line
            self._bar.stop()

    def begin(self, epoch: int) -> None:
        """Begin an epoch, of which the first is 0."""
        self._started_s = time.perf_counter()
        self._bar.update(self._task, completed=epoch * self.batches, description=f"epoch {epoch + 1}/{self._epochs}")

    def advance(self) -> None:
        """Count a batch."""
        self._bar.advance(self._task)

    def end(self, epoch: int, measures: Mapping[str, float]) -> None:
        """End an epoch and show its measures."""
        figures = "  ".join(f"{name} {value:.4f}" for name, value in measures.items())
        self._bar.update(self._task, figures=figures)
        if self._bar.disable:
            duration_s = time.perf_counter() - self._started_s
            self._console.print(f"  epoch {epoch + 1:2}/{self._epochs}  {figures}  {duration_s:.1f} s", highlight=False)
        if self._logs is not None:
            _log(self._logs, epoch + 1, measures)


def _log(folder: Path, step: int, measures: Mapping[str, float]) -> None:
    """Append measures to TensorBoard's event files, which need no framework."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    values = [Summary.Value(tag=name, simple_value=value) for name, value in measures.items()]
    writer = EventFileWriter(str(folder), filename_suffix=f".{step}")
    writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
    writer.close()
