"""Networks of Keras 3, on whichever backend it runs: TensorFlow, JAX or PyTorch."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from onnxlet.errors import SettingsError
from onnxlet_training import checkpoint
from onnxlet_training.checkpoint import STATE, Checkpoints, InterruptedRunError, State, StopSignal
from onnxlet_training.networks import processes
from onnxlet_training.networks.feed import Feed, Review
from onnxlet_training.networks.processes import Processes
from onnxlet_training.progress import Report
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Dataset, Exportable, Labels, Options, Recipe

if TYPE_CHECKING:
    import keras

FAST_EPOCHS = 3
PATIENCE = 0.5
"""Of all epochs: how many without a better one end the training."""
LEARNING_RATE = 1e-3
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
    rank: int = 0

    def predict(self, features: Array) -> Array:
        """The output for rows of features."""
        output: Array = self.model.predict(features, verbose=0)
        return output

    def run(self, *inputs: Array) -> list[Array]:
        """The one output for the one input."""
        return [self.predict(*inputs)]

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """The one graph: `input` to `output`."""
        from onnxlet_training.networks.keras_export import write_onnx

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
    decays: bool = False
    """Whether the steps get smaller, along half a cosine, until the last is none; else all are alike.

    Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    framework: str = "keras"

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> FittedKeras:
        """Train, together with the job's other processes; the result is the same for the same seed and machines.

        Raises:
            SettingsError: a GPU was demanded and there is none, a backend that is not installed, or processes that
                cannot share the job.
            InterruptedRunError: the process was asked to end, and has saved a checkpoint.
        """
        keras = _import_keras()
        keras.utils.set_random_seed(options.seed)
        epochs = options.epochs or (FAST_EPOCHS if options.is_fast else recipe.epochs)
        checkpoints = Checkpoints(folder / "checkpoints")
        with processes.joined() as job:
            has_gpu = _use_the_hardware()
            if options.needs_gpu and not has_gpu:
                raise SettingsError(f"--gpu: Keras on {keras.backend.backend()} finds no GPU")
            with _scope():
                feed = _feed(recipe, dataset, options, job)
                state, model = self._begin(dataset, checkpoints, job, epochs * len(feed))
                with _listening_for_stop(job) as stop:
                    loop = _Loop(feed, dataset, state, checkpoints, stop, job)
                    loop.run(model, epochs, folder, console)
        path = folder / MODEL_FILE
        if job.is_first:
            model = self._in_full_precision(dataset, checkpoints)
            model.save(path)
        return FittedKeras(model, path, state.history, state.best_epoch, state.duration_s, job.rank)

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

    def _begin(
        self, dataset: Dataset, checkpoints: Checkpoints, job: Processes, steps: int
    ) -> tuple[State, "keras.Model"]:
        """A new network, or that of the first process's last checkpoint with its optimizer."""
        import keras

        newest = checkpoints.newest() if job.is_first else None
        files = [b"" if newest is None else (newest[1] / name).read_bytes() for name in (STATE, MODEL_FILE)]
        document, network = (job.agree(file) for file in files)
        if document:
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / MODEL_FILE
                path.write_bytes(network)
                return State(**json.loads(document)), keras.models.load_model(path)
        model = self._build(dataset)
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps) if self.decays else LEARNING_RATE
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=self.loss, metrics=["accuracy"])
        return State(), model

    def _build(self, dataset: Dataset) -> "keras.Model":
        return self.build(dataset.test.to_model(dataset.test.inputs[:1]).shape[1:], len(dataset.labels))


@dataclass
class _Loop:
    """The epochs that are left."""

    feed: Feed
    dataset: Dataset
    state: State
    checkpoints: Checkpoints
    stop: StopSignal
    job: Processes

    def run(self, model: "keras.Model", epochs: int, folder: Path, console: Console) -> None:
        """Train epoch by epoch, and save after each."""
        feed, job = self.feed, self.job
        validation = self._validation()
        patience = max(3, round(epochs * PATIENCE))
        logs = folder / "tensorboard" if job.is_first else None
        with Report(console if job.is_first else Console(quiet=True), epochs, len(feed), logs) as report:
            while self.state.epochs_done < epochs:
                epoch = self.state.epochs_done
                if epoch - self.state.best_epoch >= patience:
                    break
                report.begin(epoch)
                started_s = time.perf_counter()
                measures = self._epoch(model, validation, epoch, report)
                is_best = self.state.record(measures, time.perf_counter() - started_s)
                self._save(model, is_best=is_best)
                report.end(epoch, measures)

    def _validation(self) -> Any:
        """What Keras validates on: arrays, or batches of this process's rows where several devices share them."""
        split = self.dataset.validation
        if self.job.devices == 1:
            return split.features, split.targets
        review = Review(split, self.feed.batch_size, self.job.devices, self.job.rank, self.job.count)
        return _to_dataset(len(review), review.batch)

    def _epoch(self, model: "keras.Model", validation: Any, epoch: int, report: Report) -> dict[str, float]:
        import keras

        feed = self.feed

        class Watch(keras.callbacks.Callback):
            """Advances the bar, and ends the epoch when the process shall end."""

            def on_train_batch_end(_self, batch: int, logs: Any = None) -> None:  # noqa: N805, ARG002 - Keras's signature
                report.advance()
                self.stop.is_set = self.stop.is_set or self.job.shall_stop(epoch * len(feed) + batch)
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
            raise InterruptedRunError(checkpoint.stopped_in(epoch + 1))
        return {name: float(values[-1]) for name, values in history.history.items()}

    def _save(self, model: "keras.Model", *, is_best: bool) -> None:
        if not self.job.is_first:
            return
        newest = self.checkpoints.newest()

        def write(folder: Path) -> None:
            model.save(folder / MODEL_FILE)
            if is_best or newest is None:
                model.save(folder / BEST_FILE)
            else:
                (folder / BEST_FILE).write_bytes((newest[1] / BEST_FILE).read_bytes())

        with processes.alone():
            self.checkpoints.save(self.state, write)


def _feed(recipe: Recipe, dataset: Dataset, options: Options, job: Processes) -> Feed:
    """This process's share of each batch."""
    rows, copies = job.rows(recipe.batch_size), recipe.augmented_copies
    return Feed(dataset.train, rows, recipe.augment, copies, options.seed, job.rank, job.count)


def to_dataset(feed: Feed, epoch: int) -> Any:
    """The feed as Keras takes it: batches made by several threads while others train."""
    return _to_dataset(len(feed), lambda index: feed.batch(epoch, index))


def _to_dataset(count: int, batch: Callable[[int], tuple[Array, Labels]]) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> tuple[Array, Labels]:
            return batch(index)

    return Batches(workers=WORKERS, use_multiprocessing=False, max_queue_size=2 * WORKERS)


def _import_keras() -> Any:
    try:
        import keras
    except ImportError as error:
        backend = os.environ.get("KERAS_BACKEND", "")
        raise SettingsError(f"KERAS_BACKEND={backend}: {error}; `make {backend}` adds it") from error
    return keras


def _use_the_hardware() -> bool:
    """Half precision where there is a GPU; whether there is one."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        has_gpu = any(device.platform == "gpu" for device in jax.devices())
    elif backend == "torch":
        import torch

        has_gpu = torch.cuda.is_available()
    else:
        import tensorflow as tf

        has_gpu = bool(tf.config.list_physical_devices("GPU"))
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if has_gpu else "float32")
    return has_gpu


def _listening_for_stop(job: Processes) -> AbstractContextManager[StopSignal]:
    """Watch for SIGTERM; where there are several processes JAX does, for all of them."""
    return checkpoint.listening_for_stop() if job.count == 1 else nullcontext(StopSignal())


def _scope() -> AbstractContextManager[Any]:
    """TensorFlow's strategy for several GPUs; the other backends need none here."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if len(tf.config.list_physical_devices("GPU")) > 1:
            scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy().scope()
            return scope
    return nullcontext()
