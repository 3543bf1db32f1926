"""A recipe: the data, network and sizes of one model. `run` puts the stages in order, once for all recipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from rich.console import Console

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.example import Example
from onnxlet.contract.generation import ImageGeneration, TextGeneration
from onnxlet.contract.training_statistics import TrainingStatistics
from onnxlet.models.model import Model
from onnxlet_publishing.errors import UsageError
from onnxlet_training.source import Source

Array = npt.NDArray[Any]
Images = npt.NDArray[np.uint8]
"""Images, (count, height, width, channels)."""
Labels = npt.NDArray[np.int64]
"""Classes, (count,)."""
INPUT, OUTPUT = "input", "output"
"""The tensors of a network with one input and one output."""
Augment = Callable[[Images, np.random.Generator], Images]
"""Returns a changed copy of a batch of images."""


@dataclass(frozen=True)
class Examples:
    """The examples that a recipe reads, before they are split."""

    inputs: Array
    """Images as UINT8 (count, height, width, channels), or the model's own input, (count, ...)."""
    targets: Labels
    """The class of each example; zeros if there are no classes."""
    labels: tuple[str, ...] = ()
    """A name for each class."""


@dataclass(frozen=True)
class Options:
    """The user's choices for a run."""

    data: str | None = None
    """A URL or path of data to use instead of the recipe's own."""
    epochs: int | None = None
    """The number of epochs; None takes the recipe's."""
    seed: int = 0
    is_fast: bool = False
    """Use little data and few epochs: enough to see that everything works, not to get a good model."""
    needs_gpu: bool = False
    """Refuse to train without a GPU."""

    def to_document(self) -> dict[str, Any]:
        """Return the options as `run.json` keeps them."""
        return {"data": self.data, "epochs": self.epochs, "seed": self.seed, "fast": self.is_fast}


@dataclass(frozen=True)
class Split:
    """One part of the examples."""

    inputs: Array
    """The inputs as they were read."""
    targets: Labels
    to_model: Callable[[Array], Array]
    """Turns inputs into what the model takes: for images, with the graph that the functions run."""

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.targets)

    @property
    def features(self) -> Array:
        """All inputs as the model takes them."""
        return self.to_model(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """The three parts, which share no example, and the digest of all data that were read."""

    train: Split
    validation: Split
    test: Split
    labels: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Exportable:
    """A graph that can be exported from a fitted network, with expected outputs for the test examples."""

    suffix: str
    """The suffix of the published model's name; empty for the main graph."""
    inputs: dict[str, Array]
    """Examples for each input, by name, with the same number of rows."""
    outputs: dict[str, Array]
    """The framework's outputs for these inputs, by name."""
    write: Callable[[Path], None]
    """Writes the ONNX file."""


class Fitted(Protocol):
    """A network after training."""

    history: dict[str, list[float]]
    """The measures of each epoch."""
    best_epoch: int
    """The epoch whose weights were kept; the first is 1."""
    duration_s: float
    rank: int
    """This process's number among those that trained the network; the first, 0, evaluates and publishes."""

    def predict(self, features: Array) -> Array:
        """Return the main output for rows of features."""

    def run(self, *inputs: Array) -> list[Array]:
        """Return all outputs of the main graph for rows of each of its inputs."""

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """Return the graphs to publish, the main one first."""


class Network(Protocol):
    """A network that one framework builds and trains."""

    @property
    def framework(self) -> str:
        """The distribution whose version is recorded."""

    def fit(self, recipe: Recipe, dataset: Dataset, options: Options, folder: Path, console: Console) -> Fitted:
        """Train, continuing from the last checkpoint in `folder` if there is one."""


@dataclass(frozen=True)
class Recipe:
    """One model: its data, its network, its measures and the way it is served."""

    name: str
    title: str
    load: Callable[[Source], Examples]
    """Reads the examples; raises DataError if they are malformed and UsageError if `--data` is missing."""
    network: Network
    task: Task
    epochs: int
    batch_size: int
    preprocess: ImagePreprocess | None = None
    """The way in which images become the model's input."""
    augment: Augment | None = None
    augmented_copies: int = 0
    """The number of augmented copies of each image in an epoch, in addition to the image itself."""
    fast_examples: int = 600
    takes_data: bool = True
    """Whether `load` reads the data that `--data` names."""

    def check_data(self, location: str | None) -> None:
        """Check that the recipe can read the data that a user names.

        Raises:
            UsageError: the recipe has data of its own and reads no other.
        """
        if location is not None and not self.takes_data:
            raise UsageError(f"--data {location}: {self.name} trains on its own data and takes no other")


@dataclass(frozen=True)
class Measured:
    """The quality of a fitted network on the test split."""

    metrics: dict[str, float]
    """The figures of the manifest."""
    document: dict[str, Any]
    """All measures, as `run.json` keeps them."""
    headline: str
    """The main figures in one line."""
    statistics: TrainingStatistics | None = None
    """A classifier's training statistics, with which drift compares requests."""


@dataclass(frozen=True)
class Serving:
    """The declarations of a manifest, which say how a graph is served."""

    preprocess: ImagePreprocess | None = None
    classification: Classification | None = None
    generation: TextGeneration | ImageGeneration | None = None
    example: Example | None = None
    """A payload from the test split."""


class Task(Protocol):
    """The purpose of a model: how it is measured and how it is served."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """Return the positions of the training, validation and test examples."""

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Measure the network on the test split."""

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> Serving:
        """Declare how the graph with this suffix is served."""

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:
        """Send the loaded candidate requests like a client's, and describe the result in a line.

        Raises:
            ModelError: the candidate does not answer as the network does.
        """

    def draw(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:
        """Write the pictures of the run that the report shows."""
