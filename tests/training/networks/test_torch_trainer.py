from pathlib import Path

import numpy as np
import pytest

from onnxlet_training.networks.feed import Batch, Feed
from onnxlet_training.recipe import Split

pytest.importorskip("torch", reason="needs `make torch`")

import torch

from onnxlet_training.networks.torch_trainer import STATE_FILE, TorchTrainer, descend

ROWS = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
SPLIT = Split(ROWS, np.zeros(40, np.int64), lambda inputs: inputs)


def measure(module: torch.nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    return {"loss": (module(batch.features) - 2 * batch.features).square().mean()}


def step(module: torch.nn.Module, optimizers: list[torch.optim.Optimizer], batch: Batch) -> dict[str, torch.Tensor]:
    measures = measure(module, batch)
    descend(module, optimizers[0], measures["loss"])
    return measures


def trainer() -> TorchTrainer:
    torch.manual_seed(0)
    module = torch.nn.Linear(1, 1)
    optimizers = [torch.optim.Adam(module.parameters(), 0.1)]
    trained = TorchTrainer(module, optimizers, step, measure, Feed(SPLIT, 10, None, 0, seed=0), SPLIT)
    trained.load(b"")
    return trained


def test_an_epoch_gives_means_of_both_splits_and_counts_its_batches() -> None:
    trained, batches = trainer(), 0

    def after_batch() -> bool:
        nonlocal batches
        batches += 1
        return False

    measures = trained.train(0, after_batch)
    assert list(measures) == ["loss", "val_loss"]
    assert batches == 4
    with torch.no_grad():
        expected = float((trained.module(torch.from_numpy(ROWS)) - 2 * torch.from_numpy(ROWS)).square().mean())
    assert measures["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_an_epoch_ends_after_the_batch_that_says_so() -> None:
    trained = trainer()
    answers = iter([False, True, False])
    assert trained.train(0, lambda: next(answers)) == {}
    assert next(answers) is False, "the third batch was not trained"


def test_a_checkpoint_brings_back_weights_optimizer_and_best_weights(tmp_path: Path) -> None:
    first = trainer()
    first.train(0, lambda: False)
    first.save(tmp_path, is_best=True)
    first.train(1, lambda: False)
    first.save(tmp_path, is_best=False)
    second = trainer()
    second.load((tmp_path / STATE_FILE).read_bytes())
    assert torch.equal(second.module.weight, first.module.weight)
    assert torch.equal(second.best["weight"], first.best["weight"])
    assert not torch.equal(second.best["weight"], first.module.weight)
    assert first.train(2, lambda: False) == second.train(2, lambda: False)
