"""Keras 3 networks on any backend: TensorFlow, JAX or PyTorch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from onnxlet_publishing.errors import MachineError
from onnxlet_training.networks.feed import Feed
from onnxlet_training.networks.loop import Loop, count_epochs
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Dataset, Exportable, Options, Recipe

Model = Any
"""A `keras.Model`, by a name that needs no import of Keras, which takes seconds."""

LEARNING_RATE = 1e-3


@dataclass
class FittedKeras:
    """A Keras network with the weights of its best epoch."""

    model: Model
    path: Path
    history: dict[str, list[float]]
    best_epoch: int
    duration_s: float
    rank: int = 0

    def predict(self, features: Array) -> Array:
        """Return the output for rows of features."""
        output: Array = self.model.predict(features, verbose=0)
        return output

    def run(self, *inputs: Array) -> list[Array]:
        """Return the one output for the one input."""
        return [self.predict(*inputs)]

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """Return the one graph, from `input` to `output`."""
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


Build = Callable[[tuple[int, ...], int], Model]
"""Builds a network for rows of a shape and a number of classes."""


@dataclass(frozen=True)
class KerasNetwork:
    """A network that learns with Adam."""

    build: Build
    """Builds the network; Keras is imported only then."""
    loss: str = "sparse_categorical_crossentropy"
    decays: bool = False
    """Whether the learning rate falls to 0 along half a cosine; otherwise it is constant.

    Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    framework: str = "keras"

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> FittedKeras:
        """Train together with the job's other processes; the result depends on the seed and the machines only.

        Raises:
            MachineError: the backend is not installed, or `--gpu` was given and there is no GPU.
            UsageError: the job's processes cannot share a Keras network.
            InterruptedRunError: the process was asked to end, and has saved a checkpoint.
        """
        try:
            import keras
        except ImportError as error:
            backend = os.environ.get("KERAS_BACKEND", "")
            raise MachineError(f"KERAS_BACKEND={backend}: {error}; `make {backend}` installs it") from error
        from onnxlet_training.networks import jax_processes, keras_trainer

        keras.utils.set_random_seed(options.seed)
        epochs, copies = count_epochs(recipe, options), recipe.augmented_copies
        with jax_processes.joined() as job:
            has_gpu = keras_trainer.choose_precision()
            if options.needs_gpu and not has_gpu:
                raise MachineError(f"--gpu: Keras on {keras.backend.backend()} finds no GPU")
            with keras_trainer.scope():
                rows = job.rows(recipe.batch_size)
                feed = Feed(dataset.train, rows, recipe.augment, copies, options.seed, job.rank, job.count)
                loop = Loop(job, folder, console, epochs, len(feed))
                state, saved = loop.resume(keras_trainer.MODEL_FILE)
                model = keras_trainer.load(saved) if saved else self._compiled(dataset, epochs * len(feed))
                trainer = keras_trainer.KerasTrainer(model, feed, dataset.validation, job.devices, loop.checkpoints)
                loop.run(trainer, state)
        path = folder / keras_trainer.MODEL_FILE
        if job.is_first:
            newest = loop.checkpoints.newest()
            assert newest is not None, "each epoch saves a checkpoint"
            model = self._in_full_precision(dataset, newest / keras_trainer.BEST_FILE)
            model.save(path)
        return FittedKeras(model, path, state.history, state.best_epoch, state.duration_s, job.rank)

    def _compiled(self, dataset: Dataset, steps: int) -> Model:
        """Return a new network and its optimizer, which takes this many steps."""
        import keras

        model = self._build(dataset)
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps) if self.decays else LEARNING_RATE
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=self.loss, metrics=["accuracy"])
        return model

    def _in_full_precision(self, dataset: Dataset, path: Path) -> Model:
        """Return a saved network without the casts of mixed precision, which would be slow on a CPU."""
        import keras

        weights = keras.models.load_model(path).get_weights()
        keras.mixed_precision.set_global_policy("float32")
        model = self._build(dataset)
        model.set_weights(weights)
        return model

    def _build(self, dataset: Dataset) -> Model:
        return self.build(dataset.test.to_model(dataset.test.inputs[:1]).shape[1:], len(dataset.labels))
