"""Text: a step-wise model predicts the next character."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxlet.contract.generation import TextGeneration
from onnxlet.models.generation import generate_text
from onnxlet.models.model import Model
from onnxlet.protocols.generate import parse_generate
from onnxlet_publishing.errors import ModelError
from onnxlet_training.recipe import Array, Dataset, Examples, Fitted, Measured, Options, Recipe, Serving

TOKEN, STATE = "token", "state"
SCORES, NEXT_STATE = "scores", "next_state"

HELD_OUT = 0.1
"""The share of the text for validation, and the same share for the test."""
OVERLAP = 4
"""The number of windows that reach into the next part of the text."""
SAMPLE_LENGTH = 200
SAMPLE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class TextTask:
    """A network measured by the perplexity of the test text."""

    state_size: int

    def split(self, examples: Examples, options: Options) -> tuple[Array, Array, Array]:  # noqa: ARG002 - the protocol's
        """Split the text into beginning, middle and end, without the windows that two parts would share."""
        count = len(examples.inputs)
        held_out = max(1, round(HELD_OUT * count))
        train_end, validation_end = count - 2 * held_out, count - held_out
        return (
            np.arange(0, train_end - OVERLAP),
            np.arange(train_end, validation_end - OVERLAP),
            np.arange(validation_end, count),
        )

    def measure(self, fitted: Fitted, dataset: Dataset) -> Measured:
        """Measure the perplexity: between how many characters the model hesitates, on average."""
        perplexity = float(np.exp(_log_loss(fitted, dataset, self.state_size)))
        metrics = {"perplexity": perplexity}
        document = {**metrics, "characters": len(dataset.labels), "sample": self._write(fitted, dataset)}
        return Measured(metrics, document, f"perplexity {perplexity:.2f}")

    def _write(self, fitted: Fitted, dataset: Dataset) -> str:
        """Return a text that the network writes from its first character, for the report."""
        size, random = len(dataset.labels), np.random.default_rng(0)
        state: Array = np.zeros((1, self.state_size), np.float32)
        token, text = int(dataset.test.inputs[0, 0]), ""
        for _ in range(SAMPLE_LENGTH):
            text += dataset.labels[token]
            scores, state = fitted.run(np.eye(size, dtype=np.float32)[[token]], state)
            weights = np.exp((scores[0] - scores[0].max()).astype(np.float64) / SAMPLE_TEMPERATURE)
            token = int(random.choice(size, p=weights / weights.sum()))
        return text

    def declare(self, recipe: Recipe, dataset: Dataset, suffix: str) -> Serving:  # noqa: ARG002 - as above
        """Declare the alphabet, and the tensors of token, state and scores."""
        return Serving(generation=TextGeneration(dataset.labels, TOKEN, "one_hot", SCORES, {STATE: NEXT_STATE}))

    def verify(self, model: Model, fitted: Fitted, dataset: Dataset, suffix: str) -> str:  # noqa: ARG002 - as above
        """Continue a prompt twice with the functions' own code.

        Raises:
            ModelError: the same seed gave two texts.
        """
        request = parse_generate({"prompt": dataset.labels[-1], "length": SAMPLE_LENGTH, "seed": 1})
        first, second = (generate_text(model, request) for _ in range(2))
        if first != second:
            raise ModelError(f"{model.manifest.model}: expected one text for the same seed, got two")
        return f"the functions wrote the same {SAMPLE_LENGTH} characters twice"

    def draw(self, measured: Measured, fitted: Fitted, dataset: Dataset, folder: Path) -> None:
        """Draw nothing: the report shows the text itself."""


def _log_loss(fitted: Fitted, dataset: Dataset, state_size: int) -> float:
    """Return the mean negative log-likelihood of the test windows' characters."""
    windows = dataset.test.inputs
    size = len(dataset.labels)
    state: Array = np.zeros((len(windows), state_size), np.float32)
    total = 0.0
    for index in range(windows.shape[1] - 1):
        scores, state = fitted.run(np.eye(size, dtype=np.float32)[windows[:, index]], state)
        total -= float(scores[np.arange(len(windows)), windows[:, index + 1]].mean())
    mean: float = total / (windows.shape[1] - 1)
    return mean
