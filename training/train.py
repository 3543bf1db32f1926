"""Train: fit the recipe's network and keep the epoch that was best on the validation split."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from training.data import Dataset
from training.recipe import Options, Recipe

FAST_EPOCHS = 3


@dataclass(frozen=True)
class Trained:
    """A fitted network and how it came to be."""

    model: keras.Model
    path: Path
    """The network as a `.keras` file, which any backend reads."""
    history: dict[str, list[float]]
    """`loss`, `accuracy`, `val_loss`, `val_accuracy`: a value for each epoch."""
    best_epoch: int
    """Whose weights were kept; the first is 1."""
    duration_s: float


def train(recipe: Recipe, data: Dataset, options: Options, folder: Path, console: Console) -> Trained:
    """Fit the network; the result is the same for the same seed, backend and machine."""
    keras.utils.set_random_seed(options.seed)
    model = recipe.build()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    epochs = options.epochs or (FAST_EPOCHS if options.is_fast else recipe.epochs)
    best = keras.callbacks.EarlyStopping(monitor="val_loss", patience=epochs, restore_best_weights=True)
    started = time.perf_counter()
    history = model.fit(
        data.train.inputs,
        data.train.labels,
        batch_size=recipe.batch_size,
        epochs=epochs,
        validation_data=(data.validation.inputs, data.validation.labels),
        callbacks=[best, _progress(console, epochs)],
        verbose=0,
    )
    duration_s = time.perf_counter() - started
    path = folder / "model.keras"
    model.save(path)
    return Trained(
        model=model,
        path=path,
        history={name: [float(value) for value in values] for name, values in history.history.items()},
        best_epoch=int(best.best_epoch) + 1,
        duration_s=duration_s,
    )


def _progress(console: Console, epochs: int) -> keras.callbacks.Callback:
    return _Bar(console, epochs) if console.is_terminal else _Lines(console, epochs)


class _Lines(keras.callbacks.Callback):
    """A line for each epoch: for logs."""

    def __init__(self, console: Console, epochs: int) -> None:
        super().__init__()
        self.console = console
        self.epochs = epochs
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        duration_s = time.perf_counter() - self.started
        self.console.print(
            f"  epoch {epoch + 1:2}/{self.epochs}  {_figures(logs)}  {duration_s:.1f} s", highlight=False
        )


class _Bar(keras.callbacks.Callback):
    """A bar that counts batches, with the time that is left: for a terminal."""

    def __init__(self, console: Console, epochs: int) -> None:
        super().__init__()
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[logs]}"),
        )
        self.progress = Progress(*columns, console=console)
        self.epochs = epochs
        self.task = self.progress.add_task("training", total=None, logs="")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.progress.update(self.task, total=self.epochs * (self.params.get("steps") or 1))
        self.progress.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.progress.update(self.task, description=f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.progress.advance(self.task)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.progress.update(self.task, logs=_figures(logs))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self.progress.stop()


def _figures(logs: dict[str, Any] | None) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
