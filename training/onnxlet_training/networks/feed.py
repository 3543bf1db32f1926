"""The feed: batches of examples for any framework, augmented and preprocessed while other batches train."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlet_training.recipe import Array, Augment, Labels, Split

PREDICT_ROWS = 256
"""The rows that a PyTorch network takes at a time when it does not train."""


@dataclass(frozen=True)
class Batch:
    """The examples of one training step, as a framework's tensors."""

    features: Any
    targets: Any


@dataclass(frozen=True)
class Feed:
    """The training split in a new order in each epoch; any worker can make any batch without the others."""

    split: Split
    batch_size: int
    """This process's rows of a batch."""
    augment: Augment | None
    copies: int
    """The number of augmented copies of each example in an epoch, in addition to the example itself."""
    seed: int
    rank: int = 0
    """This process's number among `world` processes: it takes every `world`-th batch."""
    world: int = 1

    def __len__(self) -> int:
        """Return this process's number of batches in an epoch."""
        return max(1, len(self.split) * (self.copies + 1) // (self.batch_size * self.world))

    def batch(self, epoch: int, index: int) -> tuple[Array, Labels]:
        """Return a batch's features and targets, which depend on seed, epoch and index only."""
        count = len(self.split)
        order = np.random.default_rng([self.seed, epoch]).permutation(count * (self.copies + 1))
        start = (index * self.world + self.rank) * self.batch_size
        chosen = order.take(range(start, start + self.batch_size), mode="wrap")  # repeats rows if there are too few
        inputs, targets = self.split.inputs[chosen % count], self.split.targets[chosen % count]
        if self.augment is not None:
            is_copy = chosen >= count if self.copies else np.ones(len(chosen), bool)
            if is_copy.any():
                random = np.random.default_rng([self.seed, epoch, start])
                inputs = inputs.copy()
                inputs[is_copy] = self.augment(inputs[is_copy], random)
        return self.split.to_model(inputs), targets


@dataclass(frozen=True)
class Review:
    """A split in its own order, unchanged, in batches that several devices share evenly.

    To make the shares even, some rows (fewer than there are devices) occur twice.
    """

    split: Split
    batch_size: int
    """This process's rows of a batch."""
    devices: int
    """The devices of all processes together."""
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        """Return the number of batches in one pass."""
        return math.ceil(len(self.split) / (self.batch_size * self.world))

    def batch(self, index: int) -> tuple[Array, Labels]:
        """Return this process's share of a batch's features and targets."""
        whole = self.batch_size * self.world
        left = len(self.split) - index * whole
        rows = min(whole, math.ceil(left / self.devices) * self.devices) // self.world
        start = index * whole + self.rank * rows
        chosen = np.arange(start, start + rows) % len(self.split)
        return self.split.to_model(self.split.inputs[chosen]), self.split.targets[chosen]
