"""Text: a step model that says which character follows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.contract.generation import TextGeneration
from onnxlet.errors import ArtifactError
from onnxlet.models.generation import generate_text
from onnxlet.models.model import Model
from onnxlet.protocols.generate import parse_generate
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe

TOKEN, STATE = "token", "state"
SCORES, NEXT_STATE = "scores", "next_state"

HELD_OUT = 0.1
"""Of the text, for validation, and as much for the test."""
SAMPLE_LENGTH = 200
SAMPLE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class TextTask:
    """The test text's perplexity says how good it is."""

    state_size: int

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:  # noqa: ARG002 - the protocol's
        """The text's beginning, then validation, then its end; what two parts would share is left out."""
        count = len(examples.inputs)
        held_out = max(1, round(HELD_OUT * count))
        overlap = 4  # windows that reach into the next part
        train_end, validation_end = count - 2 * held_out, count - held_out
        return (
            np.arange(0, train_end - overlap),
            np.arange(train_end, validation_end - overlap),
            np.arange(validation_end, count),
        )

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """By how many characters the model is undecided, on average, at each character of the test text."""
        perplexity = float(np.exp(_log_loss(fitted, dataset, self.state_size)))
        metrics = {"perplexity": perplexity}
        document = {**metrics, "characters": len(dataset.labels), "sample": self._write(fitted, dataset)}
        return Measured(metrics, document, f"perplexity {perplexity:.2f}")

    def _write(self, fitted: Fitted, dataset: Dataset) -> str:
        """A text as the network itself goes on with its first character, for the report."""
        size, random = len(dataset.labels), np.random.default_rng(0)
        state: Array = np.zeros((1, self.state_size), np.float32)
        token, text = int(dataset.test.inputs[0, 0]), ""
        for _ in range(SAMPLE_LENGTH):
            text += dataset.labels[token]
            scores, state = fitted.run(np.eye(size, dtype=np.float32)[[token]], state)
            weights = np.exp((scores[0] - scores[0].max()).astype(np.float64) / SAMPLE_TEMPERATURE)
            token = int(random.choice(size, p=weights / weights.sum()))
        return text

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> dict[str, Any]:  # noqa: ARG002 - as above
        """The alphabet, and which tensors carry token, state and scores."""
        return {"generation": TextGeneration(dataset.labels, TOKEN, "one_hot", SCORES, {STATE: NEXT_STATE})}

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Continue a prompt twice by the functions' own code.

        Raises:
            ArtifactError: the same seed gave two texts.
        """
        request = parse_generate({"prompt": dataset.labels[-1], "length": SAMPLE_LENGTH, "seed": 1})
        first, second = (generate_text(model, request) for _ in range(2))
        if first != second:
            raise ArtifactError(f"{model.manifest.model}: the same seed gave two texts")
        return f"the functions wrote {SAMPLE_LENGTH} characters, twice the same"

    def plot(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:
        """Nothing but the curves: a text is no picture."""


def _log_loss(fitted: Fitted, dataset: Dataset, state_size: int) -> float:
    """The mean negative log-likelihood of each character of the test windows."""
    windows = dataset.test.inputs
    size = len(dataset.labels)
    state: Array = np.zeros((len(windows), state_size), np.float32)
    total = 0.0
    for index in range(windows.shape[1] - 1):
        scores, state = fitted.run(np.eye(size, dtype=np.float32)[windows[:, index]], state)
        total -= float(scores[np.arange(len(windows)), windows[:, index + 1]].mean())
    mean: float = total / (windows.shape[1] - 1)
    return mean
