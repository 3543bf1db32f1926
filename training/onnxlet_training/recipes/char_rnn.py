"""The recipe char-rnn: continue a text character by character, with a recurrent PyTorch network."""

from pathlib import Path

import numpy as np

from onnxlet_training.errors import DataError
from onnxlet_training.networks.feed import Batch
from onnxlet_training.networks.torch_network import Measures, Module, Part, Tensor, TorchNetwork
from onnxlet_training.recipe import Array, Dataset, Examples, Recipe
from onnxlet_training.source import Source
from onnxlet_training.tasks.text import NEXT_STATE, SCORES, STATE, TOKEN, TextTask

SHIPPED = Path(__file__).parent / "texts" / "sonnets.txt"
"""Six sonnets by William Shakespeare (1609), which are in the public domain."""

HIDDEN = 128
WINDOW = 64
"""The number of characters through which errors are propagated back (truncated backpropagation through time)."""
STRIDE = 16
MAX_VOCABULARY = 256
STEP_ROWS = 64
"""The number of random states in which the exported step is compared with the network."""


def load(source: Source) -> Examples:
    """Read windows of a text as positions in its alphabet: (count, 65) INT64, the last of each only a target.

    Raises:
        DataError: the text is too short, is not UTF-8, or has too many different characters.
    """
    path = source.path() or SHIPPED
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file in UTF-8: {error}") from error
    if len(text) < 10 * WINDOW:
        raise DataError(f"{path}: expected at least {10 * WINDOW} characters, got {len(text)}")
    alphabet = sorted(set(text))
    if len(alphabet) > MAX_VOCABULARY:
        raise DataError(f"{path}: expected at most {MAX_VOCABULARY} different characters, got {len(alphabet)}")
    positions = np.array([alphabet.index(character) for character in text], np.int64)
    starts = np.arange(0, len(positions) - WINDOW, STRIDE)
    windows = positions[starts[:, None] + np.arange(WINDOW + 1)]
    return Examples(windows, np.zeros(len(windows), np.int64), tuple(alphabet))


def build(dataset: Dataset) -> Module:
    """Build one step: from a token (one-hot) and a hidden state to log-probabilities and the next state.

    The tanh keeps the hidden state bounded; without it the state grows with the length of the text.
    """
    import torch
    from torch import nn

    size = len(dataset.labels)

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i2h = nn.Linear(size + HIDDEN, HIDDEN)
            self.i2o = nn.Linear(size + HIDDEN, size)

        def forward(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            both = torch.cat((token, state), dim=1)
            return torch.log_softmax(self.i2o(both), dim=1), torch.tanh(self.i2h(both))

    return Step()


def measure(module: Module, batch: Batch) -> Measures:
    """Return the mean negative log-likelihood of the next characters of a window."""
    import torch

    windows = batch.features
    size = int(module.i2o.out_features)
    state = torch.zeros(len(windows), HIDDEN, device=windows.device)
    loss = torch.zeros((), device=windows.device)
    for index in range(WINDOW):
        token = torch.nn.functional.one_hot(windows[:, index], size).float()
        scores, state = module(token, state)
        loss = loss + torch.nn.functional.nll_loss(scores, windows[:, index + 1])
    return {"loss": loss / WINDOW}


def examples(dataset: Dataset) -> tuple[Array, Array]:
    """Return random tokens and states."""
    size = len(dataset.labels)
    random = np.random.default_rng(0)
    tokens = np.eye(size, dtype=np.float32)[random.integers(0, size, STEP_ROWS)]
    return tokens, random.uniform(-1, 1, (STEP_ROWS, HIDDEN)).astype(np.float32)


RECIPE = Recipe(
    name="char-rnn",
    title="A text, character by character",
    load=load,
    network=TorchNetwork(
        build=build,
        measure=measure,
        parts=(Part(inputs=(TOKEN, STATE), outputs=(SCORES, NEXT_STATE), examples=examples),),
        learning_rate=3e-3,
        max_gradient=1.0,
    ),
    task=TextTask(HIDDEN),
    epochs=60,
    batch_size=16,
)
