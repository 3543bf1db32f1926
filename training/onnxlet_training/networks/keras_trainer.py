"""The training of a Keras network: batches, validation, and the files of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlet_training.checkpoint import Checkpoints
from onnxlet_training.networks import jax_processes
from onnxlet_training.networks.feed import Feed, Review
from onnxlet_training.networks.loop import AfterBatch
from onnxlet_training.recipe import Array, Labels, Split

if TYPE_CHECKING:
    import keras

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
        import keras

        class Watch(keras.callbacks.Callback):
            """Calls `after_batch`, and ends the epoch if the process must stop."""

            def on_train_batch_end(_self, batch: int, logs: Any = None) -> None:  # noqa: N805, ARG002 - Keras's signature
                if after_batch():
                    self.model.stop_training = True

        history = self.model.fit(
            to_dataset(self.feed, epoch),
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
        return _to_dataset(len(review), review.batch)


def to_dataset(feed: Feed, epoch: int) -> Any:
    """Return the feed as Keras takes it: several threads make batches while others train."""
    return _to_dataset(len(feed), lambda index: feed.batch(epoch, index))


def _to_dataset(count: int, batch: Callable[[int], tuple[Array, Labels]]) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> tuple[Array, Labels]:
            return batch(index)

    return Batches(workers=WORKERS, use_multiprocessing=False, max_queue_size=2 * WORKERS)
