"""A recipe whose network needs no training: it is right in a given share of the rows."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.console import Console

from onnxlet_training.recipe import INPUT, OUTPUT, Array, Dataset, Examples, Exportable, Options, Recipe
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask
from tests.helpers import graphs

CLASSES = 4


def examples(_source: Source) -> Examples:
    """Rows whose largest number is at their class."""
    targets = np.arange(200) % CLASSES
    noise = np.random.default_rng(0).random((len(targets), CLASSES))
    return Examples((np.eye(CLASSES)[targets] * 2 + noise).astype(np.float32), targets, ("a", "b", "c", "d"))


@dataclass
class Fixed:
    """A fitted network that is given: probabilities by a softmax, right in this share of the rows."""

    share: float
    error: float = 0.0
    """A number added to the exported graph's first output, but not to the network's."""
    scale: float = 1.0
    """What all outputs are multiplied with."""
    history: dict[str, list[float]] = field(default_factory=lambda: {"loss": [1.0], "val_loss": [1.0]})
    best_epoch: int = 1
    duration_s: float = 0.0
    rank: int = 0

    def predict(self, features: Array) -> Array:
        rolled = np.roll(np.eye(CLASSES, dtype=np.float32), 1, axis=1)
        is_wrong = np.arange(len(features)) >= round(self.share * len(features))
        logits = np.where(is_wrong[:, None], features @ rolled, features)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Array = self.scale * shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    def run(self, *inputs: Array) -> list[Array]:
        return [self.predict(*inputs)]

    def exportables(self, dataset: Dataset) -> list[Exportable]:
        """Return a graph that looks up the answers by the rows, and so equals the network by construction."""
        features = dataset.test.features
        answers = self.predict(features)
        return [Exportable("", {INPUT: features}, {OUTPUT: answers}, lambda path: self._write(features, answers, path))]

    def _write(self, features: Array, answers: Array, path: Path) -> None:
        found = answers.copy()
        found[0, 0] += self.error
        nodes = [
            helper.make_node("MatMul", [INPUT, "rows"], ["alike"]),
            helper.make_node("Mul", ["alike", "two"], ["twice"]),
            helper.make_node("Sub", ["twice", "squares"], ["nearness"]),
            helper.make_node("ArgMax", ["nearness"], ["nearest"], axis=1, keepdims=0),
            helper.make_node("Gather", ["answers", "nearest"], [OUTPUT]),
        ]
        constants = {
            "rows": features.T.copy(),
            "two": np.array(2, np.float32),
            "squares": np.square(features).sum(axis=1),
            "answers": found,
        }
        inputs, outputs = ((name, TensorProto.FLOAT, ("batch", CLASSES)) for name in (INPUT, OUTPUT))
        onnx.save(graphs.model(nodes, [inputs], [outputs], constants), path)


@dataclass(frozen=True)
class Network:
    """A network that needs no training."""

    fitted: Fixed
    framework: str = "onnx"

    def fit(
        self,
        recipe: Recipe,  # noqa: ARG002 - the protocol's
        dataset: Dataset,  # noqa: ARG002 - as above
        options: Options,  # noqa: ARG002 - as above
        folder: Path,  # noqa: ARG002 - as above
        console: Console,  # noqa: ARG002 - as above
    ) -> Fixed:
        return self.fitted


def tiny(fitted: Fixed) -> Recipe:
    return Recipe("tiny", "Rows of four numbers", examples, Network(fitted), ClassificationTask(), 1, 8)
