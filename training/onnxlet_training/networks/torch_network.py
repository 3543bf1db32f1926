"""PyTorch networks: what a recipe declares, and the fitted network with its ONNX export."""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from onnxlet_publishing.errors import MachineError
from onnxlet_publishing.graph_builder import OPSET
from onnxlet_training.networks.feed import PREDICT_ROWS, Batch, Feed
from onnxlet_training.networks.loop import Loop, count_epochs
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Dataset, Exportable, Options, Recipe

# PyTorch's own classes, by names that need no import of PyTorch: it takes seconds, and may not be installed.
Module = Any
Optimizer = Any
Tensor = Any
Measures = Mapping[str, Tensor]

Measure = Callable[[Module, Batch], Measures]
"""Returns the measures of a batch; `module.training` says whether the loss is to be descended."""
Step = Callable[[Module, list[Optimizer], Batch], Measures]
"""Takes one training step and returns the losses, one of which is `loss`."""


@dataclass(frozen=True)
class Part:
    """A part of a network that is published as one graph; by default the whole network, from `input` to `output`."""

    suffix: str = ""
    """The suffix of the published model's name."""
    inputs: tuple[str, ...] = (INPUT,)
    outputs: tuple[str, ...] = (OUTPUT,)
    submodule: str = ""
    """The path of the part in the network, as `get_submodule` takes it."""
    examples: Callable[[Dataset], tuple[Array, ...]] = lambda dataset: (dataset.test.features,)
    """Returns an array for each input, on which the exported graph must answer as the network does."""


@dataclass(frozen=True)
class TorchNetwork:
    """A network and how it learns: by default with one Adam that descends the `loss` of `measure`."""

    build: Callable[[Dataset], Module]
    """Builds the network; PyTorch is imported only then."""
    measure: Measure
    """Returns the measures of a batch, one of which is `loss`; in validation they are averaged over the rows."""
    parts: tuple[Part, ...] = (Part(),)
    """The graphs to publish, the main one first."""
    learning_rate: float = 1e-3
    max_gradient: float | None = None
    """The norm to which larger gradients are clipped; None never clips."""
    optimizers: Callable[[Module], list[Optimizer]] | None = None
    step: Step | None = None
    """Trains on one batch and returns its losses, if descending one loss is not enough."""
    framework: str = "torch"

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> "FittedTorch":
        """Train; the result depends on the seed and the kind of machine only.

        Raises:
            MachineError: PyTorch is not installed, or `--gpu` was given and there is no GPU.
            InterruptedRunError: the process was asked to end, and has saved a checkpoint.
        """
        try:
            import torch
        except ImportError as error:
            raise MachineError("this recipe needs PyTorch: pip install torch==2.13.0 onnxscript") from error
        from onnxlet_training.networks import torch_processes
        from onnxlet_training.networks.torch_trainer import STATE_FILE, TorchTrainer

        if options.needs_gpu and not torch.cuda.is_available():
            raise MachineError("--gpu: PyTorch finds no GPU")
        torch.manual_seed(options.seed)
        copies, epochs = recipe.augmented_copies, count_epochs(recipe, options)
        with torch_processes.joined() as job:
            module = self.build(dataset).to(torch_processes.this_device())
            feed = Feed(dataset.train, recipe.batch_size, recipe.augment, copies, options.seed, job.rank, job.count)
            loop = Loop(job, folder, console, epochs, len(feed))
            optimizers, step = self._optimizers(module), self.step or self._descend
            trainer = TorchTrainer(module, optimizers, step, self.measure, feed, dataset.validation)
            state, saved = loop.resume(STATE_FILE)
            trainer.load(saved)
            loop.run(trainer, state)
        module.load_state_dict(trainer.best)
        return FittedTorch(module.cpu().eval(), self.parts, state.history, state.best_epoch, state.duration_s, job.rank)

    def _optimizers(self, module: Module) -> list[Optimizer]:
        import torch

        if self.optimizers:
            return self.optimizers(module)
        return [torch.optim.Adam(module.parameters(), self.learning_rate)]

    def _descend(self, module: Module, optimizers: list[Optimizer], batch: Batch) -> Measures:
        from onnxlet_training.networks.torch_trainer import descend

        measures = self.measure(module, batch)
        descend(module, optimizers[0], measures["loss"], self.max_gradient)
        return measures


@dataclass
class FittedTorch:
    """A PyTorch network with the weights of its best epoch."""

    module: Module
    parts: tuple[Part, ...]
    history: dict[str, list[float]]
    best_epoch: int
    duration_s: float
    rank: int = 0

    def predict(self, features: Array) -> Array:
        """Return the main graph's first output for rows of features."""
        return self.run(features)[0]

    def run(self, *inputs: Array) -> list[Array]:
        """Return all outputs of the main graph for rows of each of its inputs."""
        return _run(self.module.get_submodule(self.parts[0].submodule), inputs)

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """Return the graphs that the network declares."""
        return [self._exportable(part, part.examples(dataset)) for part in self.parts]

    def _exportable(self, part: Part, examples: tuple[Array, ...]) -> Exportable:
        module = self.module.get_submodule(part.submodule)
        return Exportable(
            suffix=part.suffix,
            inputs=dict(zip(part.inputs, examples, strict=True)),
            outputs=dict(zip(part.outputs, _run(module, examples), strict=True)),
            write=lambda path: _write_onnx(module, part, examples, path),
        )


def _run(module: Module, inputs: tuple[Array, ...]) -> list[Array]:
    """Return the outputs for all rows, computed some rows at a time."""
    import torch

    parts: list[list[Array]] = []
    module.eval()
    with torch.no_grad():
        for start in range(0, len(inputs[0]), PREDICT_ROWS):
            rows = [torch.from_numpy(np.ascontiguousarray(array[start : start + PREDICT_ROWS])) for array in inputs]
            outputs = module(*rows)
            parts.append([tensor.numpy() for tensor in (outputs if isinstance(outputs, tuple) else (outputs,))])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _write_onnx(module: Module, part: Part, examples: tuple[Array, ...], path: Path) -> None:
    """Export with a free first axis and with the weights inside the file."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="copyreg|torch")  # PyTorch's own deprecations
    rows = tuple(torch.from_numpy(np.ascontiguousarray(array[:2])) for array in examples)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        module.eval(),
        rows,
        input_names=list(part.inputs),
        output_names=list(part.outputs),
        dynamic_shapes=tuple({0: batch} for _ in rows),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None, "the dynamo exporter returns a program"
    program.save(path, external_data=False)
