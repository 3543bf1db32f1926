"""Distill: a small Keras network learns the probabilities of a large one, not only its labels.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops

from onnxlet_training.networks.feed import Feed
from onnxlet_training.networks.keras_trainer import Batches
from onnxlet_training.recipe import Array

TEMPERATURE = 3.0
"""The divisor of both networks' logits; a larger one gives less likely classes more weight."""
TEACHER_SHARE = 0.7
"""The teacher's share of the loss; the rest comes from the true labels."""
FILTERS = 8
MAX_FILTERS = 16
LAST_SIDE = 8
"""The smallest side in pixels that gets another convolution."""
UNITS = 16

Teacher = Callable[[Array], Array]
"""Returns probabilities for rows of features."""


def distill(
    teacher: Teacher, shape: tuple[int, ...], classes: int, feed: Feed, epochs: int, *, is_planar: bool
) -> keras.Model:
    """Train a small network to answer much as the teacher does; its output is logits, (batch, classes).

    A row of features has the shape `shape`; planar images have the layout channels, height, width.
    """
    student = _build(shape, classes, is_planar=is_planar)
    student.compile(optimizer=keras.optimizers.Adam(2e-3), loss=_loss)
    for epoch in range(epochs):
        lessons = Batches(len(feed), partial(_lesson, teacher, feed, epoch))
        student.fit(lessons, epochs=1, shuffle=False, verbose=0)
    return student


def _build(shape: tuple[int, ...], classes: int, *, is_planar: bool) -> keras.Model:
    """Build small convolutions with pooling for images, or one small recurrent layer for sequences."""
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
    """Return the student's loss against the teacher, at a temperature, and against the true labels."""
    classes = logits.shape[-1]
    taught, truth = lesson[:, :classes], lesson[:, classes:]
    softened = ops.softmax(ops.log(ops.clip(taught, 1e-7, 1.0)) / TEMPERATURE)
    of_teacher = losses.categorical_crossentropy(softened, ops.softmax(logits / TEMPERATURE)) * TEMPERATURE**2
    of_truth = losses.categorical_crossentropy(truth, logits, from_logits=True)
    return TEACHER_SHARE * of_teacher + (1 - TEACHER_SHARE) * of_truth


def _lesson(teacher: Teacher, feed: Feed, epoch: int, index: int) -> tuple[Array, Array]:
    """Return a batch of features, with the teacher's probabilities and the true labels (one-hot) side by side."""
    features, targets = feed.batch(epoch, index)
    taught = teacher(features)
    return features, np.concatenate([taught, np.eye(taught.shape[1], dtype=np.float32)[targets]], axis=1)
