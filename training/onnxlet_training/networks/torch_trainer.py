"""The training of a PyTorch network: batches, validation, and the file of a checkpoint."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from onnxlet_training.networks.feed import PREDICT_ROWS, Batch, Feed
from onnxlet_training.networks.loop import AfterBatch
from onnxlet_training.networks.torch_processes import share_gradients, this_device
from onnxlet_training.recipe import Array, Split

STATE_FILE = "network.pt"

Measures = Mapping[str, torch.Tensor]


@dataclass
class TorchTrainer:
    """A PyTorch network in training, for `Loop`; `step` and `measure` are those of `TorchNetwork`."""

    module: torch.nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: Callable[[torch.nn.Module, list[torch.optim.Optimizer], Batch], Measures]
    measure: Callable[[torch.nn.Module, Batch], Measures]
    feed: Feed
    validation: Split
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    """The weights of the best epoch; those of a new network before the first epoch."""

    def load(self, saved: bytes) -> None:
        """Continue from a checkpoint's file; start from the beginning if the file is empty."""
        if not saved:
            self.best = self._weights()
            return
        values = torch.load(io.BytesIO(saved), "cpu", weights_only=True)
        self.module.load_state_dict(values["module"])
        for optimizer, state in zip(self.optimizers, values["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.best = values["best"]

    def save(self, folder: Path, *, is_best: bool) -> None:
        """Write weights, optimizers and the best epoch's weights."""
        if is_best:
            self.best = self._weights()
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        saved = {"module": self.module.state_dict(), "optimizers": optimizers, "best": self.best}
        torch.save(saved, folder / STATE_FILE)

    def train(self, epoch: int, after_batch: AfterBatch) -> dict[str, float]:
        """Train and validate for one epoch; measures are means."""
        torch.manual_seed(hash((self.feed.seed, epoch, self.feed.rank)) % 2**31)  # the same after a resume
        self.module.train()
        sums: dict[str, float] = {}
        for index in range(len(self.feed)):
            _add(sums, self.step(self.module, self.optimizers, _to_batch(*self.feed.batch(epoch, index))))
            if after_batch():
                return {}
        means = {name: value / len(self.feed) for name, value in sums.items()}
        return means | {f"val_{name}": value for name, value in self._validate().items()}

    def _validate(self) -> dict[str, float]:
        self.module.eval()
        split = self.validation
        sums: dict[str, float] = {}
        with torch.no_grad():
            for start in range(0, len(split), PREDICT_ROWS):
                inputs, targets = (array[start : start + PREDICT_ROWS] for array in (split.inputs, split.targets))
                _add(sums, self.measure(self.module, _to_batch(split.to_model(inputs), targets)), len(targets))
        return {name: value / len(split) for name, value in sums.items()}

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()}


def descend(
    module: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, max_gradient: float | None = None
) -> None:
    """Take one step down this process's loss, with the gradients of all processes that train together.

    Larger gradients of the module are clipped to the norm `max_gradient`; None never clips.
    """
    optimizer.zero_grad()
    loss.backward()
    share_gradients(module)
    if max_gradient is not None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), max_gradient)
    optimizer.step()


def _add(sums: dict[str, float], measures: Measures, weight: int = 1) -> None:
    for name, value in measures.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach()) * weight


def _to_batch(*arrays: Array) -> Batch:
    return Batch(*(torch.from_numpy(np.ascontiguousarray(array)).to(this_device()) for array in arrays))
