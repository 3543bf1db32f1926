"""Distill: a small Keras network learns what a large one says, its doubts included.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxlet_training.networks.feed import Feed
from onnxlet_training.recipe import Array, Labels

if TYPE_CHECKING:
    import keras

TEMPERATURE = 3.0
"""By which both networks' logits are divided: what the teacher finds less likely weighs more."""
TEACHER_SHARE = 0.7
"""Of the loss; the rest is the true labels'."""
FILTERS = 8
MAX_FILTERS = 16
LAST_SIDE = 8
"""Below this many pixels no further convolution follows."""
UNITS = 16

Teacher = Callable[[Array], Array]
"""Probabilities for rows of features."""


def distill(
    teacher: Teacher, shape: tuple[int, ...], classes: int, feed: Feed, epochs: int, *, is_planar: bool
) -> "keras.Model":
    """A small network that answers much as the teacher does; its output is logits, (batch, classes).

    Args:
        teacher: What it learns from.
        shape: Of a row of features.
        classes: How many there are.
        feed: The training split.
        epochs: How often it is seen.
        is_planar: Whether images come as channels, height, width.
    """
    import keras

    student = _build(shape, classes, is_planar=is_planar)
    student.compile(optimizer=keras.optimizers.Adam(2e-3), loss=_loss)
    for epoch in range(epochs):
        student.fit(_lessons(teacher, feed, epoch), epochs=1, shuffle=False, verbose=0)
    return student


def _build(shape: tuple[int, ...], classes: int, *, is_planar: bool) -> "keras.Model":
    """Small convolutions with pooling for images, one small recurrent layer for sequences."""
    import keras
    from keras import layers

    stack: list[Any] = [keras.Input(shape)]
    if len(shape) == 2:
        return keras.Sequential([*stack, layers.GRU(UNITS), layers.Dense(classes)])
    if is_planar:
        stack.append(layers.Permute((2, 3, 1)))
    side, filters = min(shape[1:] if is_planar else shape[:2]), FILTERS
    while side >= LAST_SIDE:
        stack += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(2)]
        side, filters = (side - 2) // 2, min(2 * filters, MAX_FILTERS)
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(classes)])


def _loss(lesson: Any, logits: Any) -> Any:
    """How far the student is from the teacher, at a temperature, and from the truth."""
    from keras import losses, ops

    classes = logits.shape[-1]
    taught, truth = lesson[:, :classes], lesson[:, classes:]
    softened = ops.softmax(ops.log(ops.clip(taught, 1e-7, 1.0)) / TEMPERATURE)
    of_teacher = losses.categorical_crossentropy(softened, ops.softmax(logits / TEMPERATURE)) * TEMPERATURE**2
    of_truth = losses.categorical_crossentropy(truth, logits, from_logits=True)
    return TEACHER_SHARE * of_teacher + (1 - TEACHER_SHARE) * of_truth


def _lessons(teacher: Teacher, feed: Feed, epoch: int) -> Any:
    """Batches of features, each with what the teacher says and what is true, side by side."""
    import keras

    class Lessons(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(feed)

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            features, targets = feed.batch(epoch, index)
            taught = teacher(features)
            return features, np.concatenate([taught, _one_hot(targets, taught.shape[1])], axis=1)

    return Lessons(workers=2, use_multiprocessing=False)


def _one_hot(targets: Labels, classes: int) -> Array:
    return np.eye(classes, dtype=np.float32)[targets]
