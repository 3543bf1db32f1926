"""The recipe cifar10: 60,000 colour images of ten kinds of objects, 32x32."""

import tarfile
import zlib
from pathlib import Path

import numpy as np

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_training.errors import DataError
from onnxlet_training.networks.keras_network import KerasNetwork, Model
from onnxlet_training.recipe import Examples, Images, Labels, Recipe
from onnxlet_training.recipes.arrays import read_builtin
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask

SIDE_PIXELS = 32
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD_BYTES = 1 + 3 * SIDE_PIXELS**2
"""The size of a record: a label, then the red, the green and the blue plane."""


def load(source: Source) -> Examples:
    """Read the images from the binary archive (`cifar-10-binary.tar.gz`), an `.npz` file, or else by Keras's download.

    The archive for Python is never read: it is a pickle, which can execute any program.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    path = source.path()
    if path is not None and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        images, labels = _read_archive(path)
    else:
        images, labels = read_builtin(source, "cifar10", "cifar-10-binary.tar.gz")
    return Examples(images, labels, LABELS)


def build(shape: tuple[int, ...], classes: int) -> Model:
    """Build three convolutions with two poolings, then two dense layers; the input is (batch, 32, 32, 3)."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, 3, activation="relu"),  # (batch, 30, 30, 32)
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),  # (batch, 13, 13, 64)
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),  # (batch, 4, 4, 64)
            layers.Flatten(),  # (batch, 1024)
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, activation="softmax", dtype="float32"),
        ]
    )


def _read_archive(path: Path) -> tuple[Images, Labels]:
    """Read the records of every `.bin` file in an archive."""
    try:
        with tarfile.open(path) as archive:
            members = sorted((file for file in archive if file.name.endswith(".bin")), key=lambda file: file.name)
            data = b"".join(file.read() for each in members if (file := archive.extractfile(each)) is not None)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected an archive of .bin files: {error}") from error
    if not data or len(data) % RECORD_BYTES:
        raise DataError(f"{path}: expected records of {RECORD_BYTES} bytes in .bin files, got {len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
    planes = records[:, 1:].reshape(-1, 3, SIDE_PIXELS, SIDE_PIXELS)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)


RECIPE = Recipe(
    name="cifar10",
    title="CIFAR-10",
    load=load,
    network=KerasNetwork(build),
    task=ClassificationTask(),
    epochs=10,
    batch_size=32,
    preprocess=ImagePreprocess(height=SIDE_PIXELS, width=SIDE_PIXELS, channels=3),
    fast_examples=1000,
)
