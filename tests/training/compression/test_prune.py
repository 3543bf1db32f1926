from typing import Any

import numpy as np
import pytest

from onnxlet_training.compression.prune import SHARE, prune
from onnxlet_training.networks.feed import Feed
from onnxlet_training.recipe import Split

pytestmark = pytest.mark.training


def kernels(model: Any) -> list[Any]:
    return [np.asarray(weight) for weight in model.trainable_weights if len(weight.shape) > 1]


def test_most_weights_become_zero_and_stay_so_while_the_others_learn() -> None:
    import keras

    rows = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
    feed = Feed(Split(rows, np.arange(64) % 3, lambda inputs: inputs), 16, None, 0, seed=0)
    model = keras.Sequential(
        [keras.Input((20,)), keras.layers.Dense(30, "relu"), keras.layers.Dense(3, activation="softmax")]
    )
    before = kernels(model)
    pruned = prune(model, "sparse_categorical_crossentropy", feed, epochs=1)
    for original, kernel in zip(before, kernels(pruned), strict=True):
        assert (kernel == 0).mean() == pytest.approx(SHARE, abs=0.02)
        assert (kernel != 0).any()
        assert not np.allclose(kernel[kernel != 0], original[kernel != 0]), "the others have learned"
    for original, kernel in zip(before, kernels(model), strict=True):
        np.testing.assert_array_equal(original, kernel)
