from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from onnxlet_publishing.errors import MachineError
from onnxlet_training import data
from onnxlet_training.networks.feed import Batch
from onnxlet_training.networks.torch_network import FittedTorch, Part, TorchNetwork
from onnxlet_training.recipe import Dataset, Options
from tests.helpers.fixed_network import CLASSES, Fixed, tiny

if TYPE_CHECKING:
    import torch

pytest.importorskip("torch", reason="needs `make torch`")

QUIET = Console(quiet=True)
RECIPE = tiny(Fixed(1.0))


def build(dataset: Dataset) -> torch.nn.Module:
    from torch import nn

    return nn.Sequential(nn.Linear(CLASSES, len(dataset.labels)))


def measure(module: torch.nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    import torch

    return {"loss": torch.nn.functional.cross_entropy(module(batch.features), batch.targets)}


NETWORK = TorchNetwork(build, measure, learning_rate=0.1)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return data.load(RECIPE, Options(), tmp_path)


def fit(network: TorchNetwork, dataset: Dataset, folder: Path, **options: int) -> FittedTorch:
    return network.fit(RECIPE, dataset, Options(**options), folder, QUIET)  # type: ignore[arg-type]


def test_one_adam_descends_the_loss_and_the_same_seed_gives_the_same_network(dataset: Dataset, tmp_path: Path) -> None:
    first, again = (fit(NETWORK, dataset, tmp_path / name, epochs=4, seed=1) for name in ("a", "b"))
    assert first.history["loss"][-1] < 0.5 * first.history["loss"][0]
    assert first.history == again.history
    features = dataset.test.features
    np.testing.assert_array_equal(first.predict(features), again.predict(features))
    assert (first.predict(features).argmax(axis=1) == dataset.test.targets).mean() > 0.9


def test_a_run_continues_from_its_checkpoint_to_the_same_network(dataset: Dataset, tmp_path: Path) -> None:
    whole = fit(NETWORK, dataset, tmp_path / "whole", epochs=4)
    fit(NETWORK, dataset, tmp_path / "parts", epochs=2)
    continued = fit(NETWORK, dataset, tmp_path / "parts", epochs=4)
    assert continued.history == whole.history
    np.testing.assert_array_equal(continued.predict(dataset.test.features), whole.predict(dataset.test.features))


def test_gradients_are_clipped_to_the_networks_norm(dataset: Dataset) -> None:
    def norms(max_gradient: float | None) -> list[float]:
        import torch

        network = replace(NETWORK, max_gradient=max_gradient)
        module = network.build(dataset)
        inputs = torch.from_numpy(dataset.train.features[:8]), torch.from_numpy(dataset.train.targets[:8])
        network._descend(module, network._optimizers(module), Batch(*inputs))
        return [float(parameter.grad.norm()) for parameter in module.parameters() if parameter.grad is not None]

    assert max(norms(1e-3)) <= 1e-3 + 1e-6
    assert max(norms(None)) > 1e-2


def test_a_part_is_exported_by_its_path(dataset: Dataset, tmp_path: Path) -> None:
    network = replace(NETWORK, parts=(Part(), Part("-first", submodule="0")))
    fitted = fit(network, dataset, tmp_path, epochs=1)
    whole, first = fitted.exportables(dataset)
    assert (whole.suffix, first.suffix) == ("", "-first")
    np.testing.assert_array_equal(whole.outputs["output"], first.outputs["output"])
    np.testing.assert_array_equal(whole.outputs["output"], fitted.predict(dataset.test.features))


def test_a_gpu_that_is_not_there_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match="--gpu: PyTorch finds no GPU"):
        fit(NETWORK, dataset, tmp_path, needs_gpu=True)
