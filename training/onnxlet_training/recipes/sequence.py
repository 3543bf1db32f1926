"""The recipes sequence-lstm and sequence-gru: classify a series of measurements with three recurrent layers."""

from functools import partial

import numpy as np

from onnxlet_training.errors import DataError
from onnxlet_training.networks.keras_network import KerasNetwork, Model
from onnxlet_training.recipe import Examples, Recipe
from onnxlet_training.recipes.arrays import read_npz
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask

UNITS = 64
LENGTH = 32
"""The time steps of a generated series."""
COUNT = 1200
NOISE = 0.25
SHAPES = ("noise", "sine", "square", "sawtooth")


def load(source: Source) -> Examples:
    """Read series from an `.npz` file with `x` (count, time, features) and `y` (count,), or else generate them."""
    path = source.path()
    if path is None:
        return generate(np.random.default_rng(0))
    arrays = read_npz(path, ("x", "y"))
    series, classes = arrays["x"], arrays["y"].reshape(-1)
    are_numbers = np.issubdtype(series.dtype, np.number) and np.issubdtype(classes.dtype, np.integer)
    if series.ndim != 3 or len(series) != len(classes) or not series.size or not are_numbers:
        raise DataError(
            f"{path}: expected x (count, time, features) of numbers and y (count,) of integers, got "
            f"{series.shape} {series.dtype}, {classes.shape} {classes.dtype}"
        )
    if classes.min() < 0 or classes.max() >= len(classes):
        raise DataError(f"{path}: expected classes from 0, without gaps, got {classes.min()} to {classes.max()}")
    return Examples(series.astype(np.float32), classes.astype(np.int64), tuple(map(str, range(int(classes.max()) + 1))))


def generate(random: np.random.Generator) -> Examples:
    """Return noisy waves of four shapes, (1200, 32, 1), with random frequencies, phases and heights."""
    time = np.arange(LENGTH) / LENGTH
    targets = np.arange(COUNT) % len(SHAPES)
    phase = random.uniform(2, 5, COUNT)[:, None] * time + random.uniform(0, 1, COUNT)[:, None]
    waves = {
        "noise": random.normal(size=phase.shape),
        "sine": np.sin(2 * np.pi * phase),
        "square": np.sign(np.sin(2 * np.pi * phase)),
        "sawtooth": 2 * (phase % 1) - 1,
    }
    clean = np.stack([waves[SHAPES[target]][row] for row, target in enumerate(targets)])
    series = random.uniform(0.5, 2, COUNT)[:, None] * clean + NOISE * random.normal(size=phase.shape)
    return Examples(series[..., None].astype(np.float32), targets.astype(np.int64), SHAPES)


def _build(kind: str, shape: tuple[int, ...], classes: int) -> Model:
    """Build three recurrent layers, then one dense layer; the input is (batch, time, features)."""
    import keras
    from keras import layers

    layer = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
    return keras.Sequential(
        [
            keras.Input(shape),
            layer(UNITS, return_sequences=True),  # (batch, time, 64)
            layer(UNITS, return_sequences=True),
            layer(UNITS),  # (batch, 64)
            layers.Dense(classes, activation="softmax", dtype="float32"),
        ]
    )


LSTM, GRU = (
    Recipe(
        name=f"sequence-{kind}",
        title=f"Series of measurements, {kind.upper()}",
        load=load,
        network=KerasNetwork(partial(_build, kind)),
        task=ClassificationTask(),
        epochs=10,
        batch_size=32,
    )
    for kind in ("lstm", "gru")
)
