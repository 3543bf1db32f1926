"""Prune: the smallest weights of a Keras network become zero and stay zero while the others continue to learn.

Source: S. Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015. A dense
runtime gets no faster, but a zipped package gets smaller.
"""

from functools import partial
from typing import Any

import keras
import numpy as np

from onnxlet_training.networks.feed import Feed
from onnxlet_training.networks.keras_trainer import Batches

SHARE = 0.7
"""The share of each kernel's weights that becomes zero."""
LEARNING_RATE = 3e-4


def prune(model: keras.Model, loss: str, feed: Feed, epochs: int) -> keras.Model:
    """Return a copy of the network with most weights at zero, trained for more epochs."""
    pruned = keras.models.clone_model(model)
    pruned.set_weights(model.get_weights())
    masks = [(weight, _mask(np.asarray(weight))) for weight in pruned.trainable_weights if len(weight.shape) > 1]

    class KeepZeros(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            for weight, mask in masks:
                weight.assign(weight * mask)

    for weight, mask in masks:
        weight.assign(weight * mask)
    pruned.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss=loss)
    for epoch in range(epochs):
        batches = Batches(len(feed), partial(feed.batch, epoch))
        pruned.fit(batches, epochs=1, callbacks=[KeepZeros()], shuffle=False, verbose=0)
    return pruned


def _mask(weights: "np.typing.NDArray[Any]") -> "np.typing.NDArray[np.float32]":
    """Return 1 for each weight that stays and 0 for each that is removed."""
    mask: np.typing.NDArray[np.float32] = (np.abs(weights) > np.quantile(np.abs(weights), SHARE)).astype(np.float32)
    return mask
