"""Networks of Keras 3, on whichever backend it runs: TensorFlow, JAX or PyTorch."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from onnxlet.errors import SettingsError
from training import checkpoint
from training.checkpoint import Checkpoints, InterruptedRunError, State, StopSignal
from training.networks.feed import Feed
from training.progress import Report
from training.recipe import Array, Dataset, Exportable, Options, Recipe

if TYPE_CHECKING:
    import keras

FAST_EPOCHS = 3
PATIENCE = 0.5
"""Of all epochs: how many without a better one end the training."""
INPUT, OUTPUT = "input", "output"
MODEL_FILE, BEST_FILE = "model.keras", "best.keras"
WORKERS = min(8, os.cpu_count() or 1)


@dataclass
class FittedKeras:
    """A Keras network with the weights of its best epoch."""

    model: "keras.Model"
    path: Path
    history: dict[str, list[float]]
    best_epoch: int
    duration_s: float

    def predict(self, features: Array) -> Array:
        """The output for rows of features."""
        output: Array = self.model.predict(features, verbose=0)
        return output

    def run(self, *inputs: Array) -> list[Array]:
        """The one output for the one input."""
        return [self.predict(*inputs)]

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """The one graph: `input` to `output`."""
        from training.networks.keras_export import write_onnx

        features = dataset.test.features
        return [
            Exportable(
                suffix="",
                inputs={INPUT: features},
                outputs={OUTPUT: self.predict(features)},
                write=lambda path: write_onnx(self.path, path),
            )
        ]


Build = Callable[[tuple[int, ...], int], "keras.Model"]
"""Makes a network for rows of this shape and so many classes."""


@dataclass(frozen=True)
class KerasNetwork:
    """A network that `fit` trains with Adam."""

    build: Build
    """The network. Keras is imported when it is called."""
    loss: str = "sparse_categorical_crossentropy"
    framework: str = "keras"

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> FittedKeras:
        """Train; the result is the same for the same seed, backend and machine.

        Raises:
            SettingsError: a GPU was demanded and there is none.
            InterruptedRunError: the process was asked to end, and has saved a checkpoint.
        """
        import keras

        keras.utils.set_random_seed(options.seed)
        has_gpu = _use_the_hardware()
        if options.needs_gpu and not has_gpu:
            raise SettingsError(f"--gpu: Keras on {keras.backend.backend()} finds no GPU")
        epochs = options.epochs or (FAST_EPOCHS if options.is_fast else recipe.epochs)
        checkpoints = Checkpoints(folder / "checkpoints")
        with _scope():
            state, model = self._begin(dataset, checkpoints)
            with checkpoint.listening_for_stop() as stop:
                loop = _Loop(recipe, dataset, options, state, checkpoints, stop)
                loop.run(model, epochs, folder, console)
        path = folder / MODEL_FILE
        model = self._in_full_precision(dataset, checkpoints)
        model.save(path)
        return FittedKeras(model, path, state.history, state.best_epoch, state.duration_s)

    def _in_full_precision(self, dataset: Dataset, checkpoints: Checkpoints) -> "keras.Model":
        """The best network without the casts of mixed precision, which a CPU would run slower."""
        import keras

        newest = checkpoints.newest()
        assert newest is not None, "each epoch saves one"
        weights = keras.models.load_model(newest[1] / BEST_FILE).get_weights()
        keras.mixed_precision.set_global_policy("float32")
        model = self._build(dataset)
        model.set_weights(weights)
        return model

    def _begin(self, dataset: Dataset, checkpoints: Checkpoints) -> tuple[State, "keras.Model"]:
        """A new network, or that of the last checkpoint with its optimizer."""
        import keras

        newest = checkpoints.newest()
        if newest is not None:
            return newest[0], keras.models.load_model(newest[1] / MODEL_FILE)
        model = self._build(dataset)
        model.compile(optimizer="adam", loss=self.loss, metrics=["accuracy"])
        return State(), model

    def _build(self, dataset: Dataset) -> "keras.Model":
        return self.build(dataset.test.to_model(dataset.test.inputs[:1]).shape[1:], len(dataset.labels))


@dataclass
class _Loop:
    """The epochs that are left."""

    recipe: Recipe
    dataset: Dataset
    options: Options
    state: State
    checkpoints: Checkpoints
    stop: StopSignal

    def run(self, model: "keras.Model", epochs: int, folder: Path, console: Console) -> None:
        """Train epoch by epoch, and save after each."""
        recipe, dataset = self.recipe, self.dataset
        feed = Feed(dataset.train, recipe.batch_size, recipe.augment, recipe.augmented_copies, self.options.seed)
        validation = (dataset.validation.features, dataset.validation.targets)
        patience = max(3, round(epochs * PATIENCE))
        with Report(console, epochs, len(feed), folder / "tensorboard") as report:
            while self.state.epochs_done < epochs:
                epoch = self.state.epochs_done
                if epoch - self.state.best_epoch >= patience:
                    break
                report.begin(epoch)
                started_s = time.perf_counter()
                measures = self._epoch(model, feed, validation, epoch, report)
                is_best = self.state.record(measures, time.perf_counter() - started_s)
                self._save(model, is_best=is_best)
                report.end(epoch, measures)

    def _epoch(self, model: "keras.Model", feed: Feed, validation: Any, epoch: int, report: Report) -> dict[str, float]:
        import keras

        class Watch(keras.callbacks.Callback):
            """Advances the bar, and ends the epoch when the process shall end."""

            def on_train_batch_end(_self, batch: int, logs: Any = None) -> None:  # noqa: N805, ARG002 - Keras's signature
                report.advance()
                if self.stop.is_set:
                    model.stop_training = True

        history = model.fit(
            to_dataset(feed, epoch),
            validation_data=validation,
            epochs=1,
            callbacks=[Watch()],
            shuffle=False,
            verbose=0,
        )
        if self.stop.is_set:
            self._save(model, is_best=False)
            done = self.state.epochs_done
            raise InterruptedRunError(f"asked to end in epoch {epoch + 1}; {done} are saved, the same command goes on")
        return {name: float(values[-1]) for name, values in history.history.items()}

    def _save(self, model: "keras.Model", *, is_best: bool) -> None:
        newest = self.checkpoints.newest()

        def write(folder: Path) -> None:
            model.save(folder / MODEL_FILE)
            if is_best or newest is None:
                model.save(folder / BEST_FILE)
            else:
                (folder / BEST_FILE).write_bytes((newest[1] / BEST_FILE).read_bytes())

        self.checkpoints.save(self.state, write)


def to_dataset(feed: Feed, epoch: int) -> Any:
    """The feed as Keras takes it: batches made by several threads while others train."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(feed)

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            return feed.batch(epoch, index)

    return Batches(workers=WORKERS, use_multiprocessing=False, max_queue_size=2 * WORKERS)


def _use_the_hardware() -> bool:
    """Half precision where there is a GPU, and all GPUs where there are several; whether there is one."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        if jax.process_count() > 1 or len(jax.devices()) > 1:
            keras.distribution.set_distribution(keras.distribution.DataParallel())
        has_gpu = any(device.platform == "gpu" for device in jax.devices())
    elif backend == "torch":
        import torch

        has_gpu = torch.cuda.is_available()
    else:
        import tensorflow as tf

        has_gpu = bool(tf.config.list_physical_devices("GPU"))
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if has_gpu else "float32")
    return has_gpu


def _scope() -> AbstractContextManager[Any]:
    """TensorFlow's strategy for several GPUs; the other backends need none here."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if len(tf.config.list_physical_devices("GPU")) > 1:
            scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy().scope()
            return scope
    return nullcontext()
