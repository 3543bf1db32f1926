"""A recipe: what one model is made of. The order of the stages stands in `run`, once for all recipes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from rich.console import Console

from onnxlet.contract.manifest import ImagePreprocess
from onnxlet.contract.training_statistics import Reference
from onnxlet.errors import InvalidRequestError
from onnxlet_training.source import Source

Array = npt.NDArray[Any]
Images = npt.NDArray[np.uint8]
"""(count, height, width, channels)"""
Labels = npt.NDArray[np.int64]
"""(count,)"""
INPUT, OUTPUT = "input", "output"
"""The tensors of a network that has one of each."""
Augment = Callable[[Images, np.random.Generator], Images]
"""Makes a changed copy of a batch of images."""


@dataclass(frozen=True)
class Examples:
    """What a recipe learns from, before it is split."""

    inputs: Array
    """Images as UINT8 (count, height, width, channels), or what the model takes, (count, ...)."""
    targets: Labels
    """The class of each; zeros where there are no classes."""
    labels: tuple[str, ...] = ()
    """A name for each class."""


@dataclass(frozen=True)
class Options:
    """What the user may set for a run."""

    data: str | None = None
    """A URL or path of data to use instead of the recipe's own."""
    epochs: int | None = None
    """None takes the recipe's."""
    seed: int = 0
    is_fast: bool = False
    """Little data and few epochs: to see that everything works, not to get a good model."""
    needs_gpu: bool = False
    """Refuse to train without one."""

    def to_document(self) -> dict[str, Any]:
        """The options as `run.json` keeps them."""
        return {"data": self.data, "epochs": self.epochs, "seed": self.seed, "fast": self.is_fast}


@dataclass(frozen=True)
class Split:
    """One part of the examples."""

    inputs: Array
    """As they were read."""
    targets: Labels
    to_model: Callable[[Array], Array]
    """Makes what the model takes of some of the inputs: for images, by the graph that the functions run."""

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.targets)

    @property
    def features(self) -> Array:
        """All inputs as the model takes them."""
        return self.to_model(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """The three parts, which share no example, and the digest of what was read."""

    train: Split
    validation: Split
    test: Split
    labels: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Exportable:
    """One graph that a fitted network can become: its tensors, and what they must be for the test examples."""

    suffix: str
    """What the model's name has more than the recipe's: empty for the main one."""
    inputs: dict[str, Array]
    """Examples for each input, by name, with the same number of rows."""
    outputs: dict[str, Array]
    """What the framework gives for them, by name."""
    write: Callable[[Path], None]
    """Writes the ONNX file."""


class Fitted(Protocol):
    """A network after training."""

    history: dict[str, list[float]]
    """The measures of each epoch."""
    best_epoch: int
    """Whose weights were kept; the first is 1."""
    duration_s: float
    rank: int
    """Which of the processes that trained it together this is; the first, 0, evaluates and publishes."""

    def predict(self, features: Array) -> Array:
        """The main output for rows of features."""

    def run(self, *inputs: Array) -> list[Array]:
        """All outputs of the main graph for rows of each of its inputs."""

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """The graphs that are published, the main one first."""


class Network(Protocol):
    """How a network is built and fitted, in one framework."""

    @property
    def framework(self) -> str:
        """The distribution whose version is recorded."""

    def fit(self, recipe: "Recipe", dataset: Dataset, options: Options, folder: Path, console: Console) -> Fitted:
        """Train, going on from the last checkpoint in `folder` where there is one."""


@dataclass(frozen=True)
class Recipe:
    """One model: its data, its network, how good it is and how it is served."""

    name: str
    title: str
    load: Callable[[Source], Examples]
    """Reads the examples; raises InvalidRequestError where data are missing or of another form."""
    network: Network
    task: "Task"
    epochs: int
    batch_size: int
    preprocess: ImagePreprocess | None = None
    """For images: what makes the model's input of them."""
    augment: Augment | None = None
    augmented_copies: int = 0
    """How often an epoch passes over changed copies beside the images as they are."""
    fast_examples: int = 600
    takes_data: bool = True
    """Whether `load` reads what `--data` names."""

    def check_data(self, location: str | None) -> None:
        """Look whether the recipe would read the data that a user names.

        Raises:
            InvalidRequestError: it has data of its own, and reads no other.
        """
        if location is not None and not self.takes_data:
            raise InvalidRequestError(f"--data {location}: {self.name} trains on its own data and takes no other")


@dataclass(frozen=True)
class Measured:
    """How good a fitted network is on the test split."""

    metrics: dict[str, float]
    """The figures that a manifest keeps."""
    document: dict[str, Any]
    """Everything, as `run.json` keeps it."""
    headline: str
    """The figures in one line."""
    reference: Reference | None = None
    """Of a classifier: what its requests will be held against."""


class Task(Protocol):
    """What a model is for: how it is measured, and how it is served."""

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:
        """The positions of the training, validation and test examples."""

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Hold the network against the test split."""

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> dict[str, Any]:
        """How the graph with this suffix is served: fields of a `Candidate`."""

    def verify(self, model: Any, fitted: Fitted, dataset: Dataset, suffix: str) -> str:
        """Ask the loaded candidate as a client would; gives what was found, raises ArtifactError where it is wrong."""

    def plot(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:
        """Write the pictures of the run."""
