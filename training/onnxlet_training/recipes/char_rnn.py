"""char-rnn: a text continued character by character, by a recurrent network of PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import InvalidRequestError
from onnxlet_training.networks.torch_network import Batch, Graph, TorchNetwork, descend
from onnxlet_training.recipe import Array, Dataset, Examples, Recipe
from onnxlet_training.source import Source
from onnxlet_training.tasks.text import NEXT_STATE, SCORES, STATE, TOKEN, TextTask

if TYPE_CHECKING:
    import torch

SHIPPED = Path(__file__).parent / "texts" / "sonnets.txt"
"""Six sonnets by William Shakespeare (1609), which are in the public domain."""

HIDDEN = 128
WINDOW = 64
"""Characters through which errors are carried back (truncated backpropagation through time)."""
STRIDE = 16
MAX_VOCABULARY = 256
MAX_GRADIENT = 1.0
STEP_ROWS = 64
"""States in which the exported step is held against the network's."""


def load(source: Source) -> Examples:
    """Windows of a text, as positions in its alphabet: (count, 65) INT64, the last of each only a target.

    Raises:
        InvalidRequestError: an empty text, one that is not UTF-8, or of too many different characters.
    """
    path = source.path() or SHIPPED
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path}: expected a text file in UTF-8: {error}") from error
    if len(text) < 10 * WINDOW:
        raise InvalidRequestError(f"{path}: expected at least {10 * WINDOW} characters, got {len(text)}")
    alphabet = sorted(set(text))
    if len(alphabet) > MAX_VOCABULARY:
        raise InvalidRequestError(
            f"{path}: expected at most {MAX_VOCABULARY} different characters, got {len(alphabet)}"
        )
    positions = np.array([alphabet.index(character) for character in text], np.int64)
    starts = np.arange(0, len(positions) - WINDOW, STRIDE)
    windows = positions[starts[:, None] + np.arange(WINDOW + 1)]
    return Examples(windows, np.zeros(len(windows), np.int64), tuple(alphabet))


def build(dataset: Dataset) -> "torch.nn.Module":
    """One step: a token (one-hot) and the hidden state in, logarithms of probabilities and the next state out.

    Beside the founding network a tanh keeps the hidden state bounded; without it the state of a long text grows
    without end.
    """
    import torch
    from torch import nn

    size = len(dataset.labels)

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i2h = nn.Linear(size + HIDDEN, HIDDEN)
            self.i2o = nn.Linear(size + HIDDEN, size)

        def forward(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            both = torch.cat((token, state), dim=1)
            return torch.log_softmax(self.i2o(both), dim=1), torch.tanh(self.i2h(both))

    return Step()


def step(
    module: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", batch: Batch
) -> Mapping[str, "torch.Tensor"]:
    """Carry the errors of a window back through its characters."""
    measures = validate(module, batch)
    descend(module, optimizers[0], measures["loss"], MAX_GRADIENT)
    return measures


def validate(module: "torch.nn.Module", batch: Batch) -> Mapping[str, "torch.Tensor"]:
    """The mean negative log-likelihood of each next character."""
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
    """Tokens and states, in which the exported step is held against the network's."""
    size = len(dataset.labels)
    random = np.random.default_rng(0)
    tokens = np.eye(size, dtype=np.float32)[random.integers(0, size, STEP_ROWS)]
    return tokens, random.uniform(-1, 1, (STEP_ROWS, HIDDEN)).astype(np.float32)


def optimizers(module: "torch.nn.Module") -> "list[torch.optim.Optimizer]":
    """One, for all weights."""
    import torch

    return [torch.optim.Adam(module.parameters(), lr=3e-3)]


RECIPE = Recipe(
    name="char-rnn",
    title="A text, character by character",
    load=load,
    network=TorchNetwork(
        build=build,
        optimizers=optimizers,
        step=step,
        validate=validate,
        graphs=(Graph("", (TOKEN, STATE), (SCORES, NEXT_STATE), lambda module: module, examples),),
    ),
    task=TextTask(HIDDEN),
    epochs=60,
    batch_size=16,
)
