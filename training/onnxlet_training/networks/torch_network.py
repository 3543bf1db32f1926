"""Networks of PyTorch, with a training loop of our own that several processes may share (`torchrun`)."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from onnxlet.errors import SettingsError
from onnxlet_publishing.graphs import OPSET
from onnxlet_training import checkpoint
from onnxlet_training.checkpoint import Checkpoints, InterruptedRunError, State, StopSignal
from onnxlet_training.networks.feed import Feed
from onnxlet_training.progress import Report
from onnxlet_training.recipe import Array, Dataset, Exportable, Options, Recipe

if TYPE_CHECKING:
    import torch

FAST_EPOCHS = 3
PATIENCE = 0.5
"""Of all epochs: how many without a better one end the training."""
STATE_FILE = "network.pt"
PREDICT_ROWS = 256

Measures = dict[str, float]


@dataclass(frozen=True)
class Graph:
    """One part of a network that is published, with the names of its tensors."""

    suffix: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    module: Callable[["torch.nn.Module"], "torch.nn.Module"]
    """Picks the part."""
    examples: Callable[[Dataset], tuple[Array, ...]]
    """An array for each input, whose first dimension is free."""


@dataclass(frozen=True)
class Batch:
    """What a step of the training gets."""

    features: "torch.Tensor"
    targets: "torch.Tensor"


Step = Callable[["torch.nn.Module", "list[torch.optim.Optimizer]", Batch], Mapping[str, "torch.Tensor"]]
"""Takes one step of training; gives the losses, of which one is `loss`."""
Validate = Callable[["torch.nn.Module", Batch], Mapping[str, "torch.Tensor"]]
"""Gives the measures of a batch without training, of which one is `loss`; means over its rows."""


@dataclass
class FittedTorch:
    """A PyTorch network with the weights of its best epoch."""

    module: "torch.nn.Module"
    network: "TorchNetwork"
    history: dict[str, list[float]]
    best_epoch: int
    duration_s: float
    rank: int = 0

    def predict(self, features: Array) -> Array:
        """The main output for rows of features."""
        return self.run(features)[0]

    def run(self, *inputs: Array) -> list[Array]:
        """All outputs of the main graph for rows of each of its inputs."""
        return _run(self.network.graphs[0].module(self.module), inputs)

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """The graphs that the network declares."""
        return [self._exportable(graph, dataset) for graph in self.network.graphs]

    def _exportable(self, graph: Graph, dataset: Dataset) -> Exportable:
        module, examples = graph.module(self.module), graph.examples(dataset)
        return Exportable(
            suffix=graph.suffix,
            inputs=dict(zip(graph.inputs, examples, strict=True)),
            outputs=dict(zip(graph.outputs, _run(module, examples), strict=True)),
            write=lambda path: _write_onnx(module, graph, examples, path),
        )


@dataclass(frozen=True)
class TorchNetwork:
    """A network and the steps that train it."""

    build: Callable[[Dataset], "torch.nn.Module"]
    """The network; PyTorch is imported when it is called."""
    optimizers: Callable[["torch.nn.Module"], "list[torch.optim.Optimizer]"]
    step: Step
    validate: Validate
    graphs: tuple[Graph, ...]
    framework: str = field(default="torch")

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> FittedTorch:
        """Train; the result is the same for the same seed and machine.

        Raises:
            SettingsError: PyTorch is not installed, or a GPU was demanded and there is none.
            InterruptedRunError: the process was asked to end, and has saved a checkpoint.
        """
        torch = _import_torch()
        if options.needs_gpu and not torch.cuda.is_available():
            raise SettingsError("--gpu: PyTorch finds no GPU")
        torch.manual_seed(options.seed)
        epochs = options.epochs or (FAST_EPOCHS if options.is_fast else recipe.epochs)
        with _process_group() as (rank, world), checkpoint.listening_for_stop() as stop:
            device = _device()
            loop = _Loop(self, recipe, dataset, options, Checkpoints(folder / "checkpoints"), stop, rank, world)
            module, state = loop.run(self.build(dataset).to(device), epochs, folder, console, device)
        return FittedTorch(module.cpu().eval(), self, state.history, state.best_epoch, state.duration_s, rank)


@dataclass
class _Loop:
    """The epochs of one process."""

    network: TorchNetwork
    recipe: Recipe
    dataset: Dataset
    options: Options
    checkpoints: Checkpoints
    stop: StopSignal
    rank: int
    world: int

    def run(
        self, module: "torch.nn.Module", epochs: int, folder: Path, console: Console, device: "torch.device"
    ) -> "tuple[torch.nn.Module, State]":
        """Train epoch by epoch, save after each; gives the network with its best weights."""
        import torch

        recipe = self.recipe
        optimizers = self.network.optimizers(module)
        state, best = self._restore(module, optimizers, device)
        feed = Feed(
            self.dataset.train,
            recipe.batch_size,
            recipe.augment,
            recipe.augmented_copies,
            self.options.seed,
            self.rank,
            self.world,
        )
        patience = max(3, round(epochs * PATIENCE))
        quiet = Console(quiet=True) if self.rank else console
        with Report(quiet, epochs, len(feed), folder / "tensorboard" / str(self.rank)) as report:
            while state.epochs_done < epochs and state.epochs_done - state.best_epoch < patience:
                epoch = state.epochs_done
                report.begin(epoch)
                started_s = time.perf_counter()
                measures = self._epoch(module, optimizers, feed, epoch, report, device)
                if self.stop.is_set:
                    self._save(state, module, optimizers, best)
                    raise InterruptedRunError(checkpoint.stopped_in(epoch + 1))
                measures |= {f"val_{name}": value for name, value in self._validate(module, device).items()}
                if state.record(measures, time.perf_counter() - started_s):
                    best = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
                self._save(state, module, optimizers, best)
                report.end(epoch, measures)
        module.load_state_dict(best)
        assert isinstance(module, torch.nn.Module)
        return module, state

    def _epoch(
        self,
        module: "torch.nn.Module",
        optimizers: "list[torch.optim.Optimizer]",
        feed: Feed,
        epoch: int,
        report: Report,
        device: "torch.device",
    ) -> Measures:
        import torch

        torch.manual_seed(hash((self.options.seed, epoch, self.rank)) % 2**31)  # the same after a resume
        module.train()
        sums: dict[str, float] = {}
        for index in range(len(feed)):
            measures = self.network.step(module, optimizers, _to_batch(*feed.batch(epoch, index), device))
            for name, value in measures.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            report.advance()
            if self.stop.is_set:
                break
        return {name: value / len(feed) for name, value in sums.items()}

    def _validate(self, module: "torch.nn.Module", device: "torch.device") -> Measures:
        import torch

        module.eval()
        validation = self.dataset.validation
        sums: dict[str, float] = {}
        with torch.no_grad():
            for start in range(0, len(validation), PREDICT_ROWS):
                inputs = validation.inputs[start : start + PREDICT_ROWS]
                targets = validation.targets[start : start + PREDICT_ROWS]
                measures = self.network.validate(module, _to_batch(validation.to_model(inputs), targets, device))
                for name, value in measures.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(targets)
        return {name: value / len(validation) for name, value in sums.items()}

    def _restore(
        self, module: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", device: "torch.device"
    ) -> "tuple[State, dict[str, torch.Tensor]]":
        """What the first process's last checkpoint holds, in all of them: no two may go on from different epochs."""
        import torch
        import torch.distributed as distributed

        newest = self.checkpoints.newest() if self.rank == 0 else None
        found = [None if newest is None else (newest[0], torch.load(newest[1] / STATE_FILE, "cpu", weights_only=True))]
        if self.world > 1:
            distributed.broadcast_object_list(found, device=device)
        if found[0] is None:
            return State(), {name: value.cpu().clone() for name, value in module.state_dict().items()}
        state, saved = found[0]
        module.load_state_dict(saved["module"])
        for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        return state, saved["best"]

    def _save(
        self,
        state: State,
        module: "torch.nn.Module",
        optimizers: "list[torch.optim.Optimizer]",
        best: "dict[str, torch.Tensor]",
    ) -> None:
        import torch

        if self.rank:
            return
        saved = {
            "module": module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "best": best,
        }
        self.checkpoints.save(state, lambda folder: torch.save(saved, folder / STATE_FILE))


def descend(
    module: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    loss: "torch.Tensor",
    max_gradient: float | None = None,
) -> None:
    """Take one step down a loss, with the gradients of all processes that train together.

    Args:
        module: Whose weights the optimizer changes.
        optimizer: It.
        loss: Of this process's batch.
        max_gradient: The norm to which larger gradients are cut; None leaves them.
    """
    import torch

    optimizer.zero_grad()
    loss.backward()
    _share_gradients(module)
    if max_gradient is not None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), max_gradient)
    optimizer.step()


def _share_gradients(module: "torch.nn.Module") -> None:
    """Make every process's gradients the mean of all.

    What `DistributedDataParallel` does, for networks whose steps it cannot wrap: two networks against each other, or a
    state that is carried through time.
    """
    import torch.distributed as distributed

    if distributed.is_initialized():
        for parameter in module.parameters():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()


def _to_batch(features: Array, targets: Array, device: "torch.device") -> Batch:
    import torch

    return Batch(
        torch.from_numpy(np.ascontiguousarray(features)).to(device),
        torch.from_numpy(np.ascontiguousarray(targets)).to(device),
    )


def _run(module: "torch.nn.Module", inputs: tuple[Array, ...]) -> list[Array]:
    """All rows through a part of the network, some at a time."""
    import torch

    parts: list[list[Array]] = []
    module.eval()
    with torch.no_grad():
        for start in range(0, len(inputs[0]), PREDICT_ROWS):
            rows = [torch.from_numpy(np.ascontiguousarray(array[start : start + PREDICT_ROWS])) for array in inputs]
            found = module(*rows)
            parts.append([each.numpy() for each in (found if isinstance(found, tuple) else (found,))])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _write_onnx(module: "torch.nn.Module", graph: Graph, examples: tuple[Array, ...], path: Path) -> None:
    """Export with a free first axis; weights stay inside the one file."""
    import logging
    import warnings

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="copyreg|torch")  # of its own deprecations
    rows = tuple(torch.from_numpy(np.ascontiguousarray(array[:2])) for array in examples)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        module.eval(),
        rows,
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        dynamic_shapes=tuple({0: batch} for _ in rows),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None, "the new exporter gives a program"
    program.save(path, external_data=False)


def _device() -> "torch.device":
    """This process's GPU, or the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextmanager
def _process_group() -> Iterator[tuple[int, int]]:
    """This process's rank among all that `torchrun` started, and how many they are; alone without it."""
    if "RANK" not in os.environ:
        yield 0, 1
        return
    import torch
    import torch.distributed as distributed

    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise SettingsError("this recipe needs PyTorch: pip install torch==2.13.0 onnxscript") from error
    return torch
