"""A recipe: what one model is made of. The order of the stages stands in `run`, once for all recipes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxlet.contract.manifest import ImagePreprocess

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.uint8]
"""(count, height, width, channels)"""
Labels = npt.NDArray[np.int64]
"""(count,)"""


@dataclass(frozen=True)
class Recipe:
    """An image classifier: its data, its network and how it is served."""

    name: str
    title: str
    labels: tuple[str, ...]
    """One for each class."""
    preprocess: ImagePreprocess
    load: Callable[[], tuple[Images, Labels]]
    build: Callable[[], "keras.Model"]
    """The network, whose output is (batch, classes) probabilities. Keras is imported when it is called."""
    augment: Callable[[Images, np.random.Generator], Images]
    """A changed copy of the images, for training only."""
    augmented_copies: int
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Options:
    """What the user may set for a run."""

    epochs: int | None = None
    """None takes the recipe's."""
    seed: int = 0
    is_fast: bool = False
    """Little data and few epochs: to see that everything works, not to get a good model."""

    def to_document(self) -> dict[str, Any]:
        """The options as `run.json` keeps them."""
        return {"epochs": self.epochs, "seed": self.seed, "fast": self.is_fast}
