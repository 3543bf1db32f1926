"""The training of a Keras network: precision, batches, validation, and the files of a checkpoint."""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras

from onnxlet_training.checkpoint import Checkpoints
from onnxlet_training.networks import jax_processes
from onnxlet_training.networks.feed import Feed, Review
from onnxlet_training.networks.loop import AfterBatch
from onnxlet_training.recipe import Array, Split

MODEL_FILE, BEST_FILE = "model.keras", "best.keras"
WORKERS = min(8, os.cpu_count() or 1)


@dataclass
class KerasTrainer:
    """A Keras network in training, for `Loop`."""

    model: keras.Model
    feed: Feed
    validation: Split
    devices: int
    """The devices of all processes together."""
    checkpoints: Checkpoints
    """The checkpoints that the loop saves; the best weights are copied from one to the next."""

    def train(self, epoch: int, after_batch: AfterBatch) -> dict[str, float]:
        """Train and validate for one epoch."""

        class Watch(keras.callbacks.Callback):
            """Calls `after_batch`, and ends the epoch if the process must stop."""

            def on_train_batch_end(_self, batch: int, logs: Any = None) -> None:  # noqa: N805, ARG002 - Keras's signature
                if after_batch():
                    self.model.stop_training = True

        history = self.model.fit(
            Batches(len(self.feed), partial(self.feed.batch, epoch)),
            validation_data=self._validation_data,
            epochs=1,
            callbacks=[Watch()],
            shuffle=False,
            verbose=0,
        )
        return {name: float(values[-1]) for name, values in history.history.items()}

    def save(self, folder: Path, *, is_best: bool) -> None:
        """Write the network with its optimizer, and the network of the best epoch."""
        newest = self.checkpoints.newest()
        with jax_processes.separated():
            self.model.save(folder / MODEL_FILE)
            if is_best or newest is None:
                self.model.save(folder / BEST_FILE)
            else:
                (folder / BEST_FILE).write_bytes((newest / BEST_FILE).read_bytes())

    @cached_property
    def _validation_data(self) -> Any:
        """Arrays for Keras, or batches of this process's rows if several devices share them."""
        if self.devices == 1:
            return self.validation.features, self.validation.targets
        feed = self.feed
        review = Review(self.validation, feed.batch_size, self.devices, feed.rank, feed.world)
        return Batches(len(review), review.batch)


class Batches(keras.utils.PyDataset):
    """Batches as Keras takes them: several threads make them while others train."""

    def __init__(self, count: int, batch: Callable[[int], tuple[Array, Array]]) -> None:
        super().__init__(workers=WORKERS, use_multiprocessing=False, max_queue_size=2 * WORKERS)
        self._count = count
        self._batch = batch

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self._batch(index)


def load(saved: bytes) -> keras.Model:
    """Return a saved network with its optimizer."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / MODEL_FILE
        path.write_bytes(saved)
        return keras.models.load_model(path)


def choose_precision() -> bool:
    """Choose half precision if there is a GPU, and return whether there is one."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        has_gpu = any(device.platform == "gpu" for device in jax.devices())
    elif backend == "torch":
        import torch

        has_gpu = torch.cuda.is_available()
    else:
        has_gpu = bool(_tensorflow_gpus())
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if has_gpu else "float32")
    return has_gpu


def scope() -> AbstractContextManager[Any]:
    """Return TensorFlow's strategy for several GPUs; other backends and a single GPU need no scope."""
    if keras.backend.backend() != "tensorflow" or len(_tensorflow_gpus()) < 2:
        return nullcontext()
    import tensorflow as tf

    strategy: AbstractContextManager[Any] = tf.distribute.MirroredStrategy().scope()
    return strategy


def _tensorflow_gpus() -> list[Any]:
    import tensorflow as tf

    return list(tf.config.list_physical_devices("GPU"))
