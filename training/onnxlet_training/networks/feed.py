"""The feed: batches of examples for any framework, changed and preprocessed in parallel with the training."""

import math
from dataclasses import dataclass

import numpy as np

from onnxlet_training.recipe import Array, Augment, Labels, Split


@dataclass(frozen=True)
class Feed:
    """The training split in a new order at each epoch; every batch can be made by itself, by any worker."""

    split: Split
    batch_size: int
    """Rows of a batch of this process."""
    augment: Augment | None
    copies: int
    """How often an epoch passes over changed copies beside the examples as they are."""
    seed: int
    rank: int = 0
    """Which of several processes this is: each takes every `world`-th batch."""
    world: int = 1

    def __len__(self) -> int:
        """Batches in an epoch, for this process."""
        return max(1, len(self.split) * (self.copies + 1) // (self.batch_size * self.world))

    def batch(self, epoch: int, index: int) -> tuple[Array, Labels]:
        """A batch's features and targets; the same for the same seed, epoch and index."""
        count = len(self.split)
        order = np.random.default_rng([self.seed, epoch]).permutation(count * (self.copies + 1))
        start = (index * self.world + self.rank) * self.batch_size
        chosen = order.take(range(start, start + self.batch_size), mode="wrap")  # again, where they are too few
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
    """A split in its own order, as it is, in batches that several devices share evenly.

    So that they can, a few rows (fewer than there are devices) are seen twice.
    """

    split: Split
    batch_size: int
    """Rows of a batch of this process."""
    devices: int
    """Of all processes together."""
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        """Batches of one pass."""
        return math.ceil(len(self.split) / (self.batch_size * self.world))

    def batch(self, index: int) -> tuple[Array, Labels]:
        """This process's share of a batch's features and targets."""
        whole = self.batch_size * self.world
        left = len(self.split) - index * whole
        rows = min(whole, math.ceil(left / self.devices) * self.devices) // self.world
        start = index * whole + self.rank * rows
        chosen = np.arange(start, start + rows) % len(self.split)
        return self.split.to_model(self.split.inputs[chosen]), self.split.targets[chosen]
