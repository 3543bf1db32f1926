"""The recipe cats-dogs: photos of any two kinds, in a folder for each kind."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_training.errors import DataError
from onnxlet_training.networks.keras_network import KerasNetwork, Model
from onnxlet_training.recipe import Examples, Images, Recipe
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import ClassificationTask

SIDE_PIXELS = 150
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

MAX_ROTATION_DEGREES = 40
MAX_SHIFT = 0.2
"""The largest shift as a fraction of the image's side."""
MAX_SHEAR = 0.2
MAX_ZOOM = 0.2

WORKERS = min(16, 2 * (os.cpu_count() or 1))


def load(source: Source) -> Examples:
    """Decode the photos of a folder with one folder for each class, in parallel, to 150x150 pixels.

    Raises:
        DataError: the folder has not two folders of photos, or a photo does not decode.
    """
    folder = source.require_path("a folder with a folder of photos for each of two classes")
    classes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(classes) != 2:
        names = ", ".join(path.name for path in classes) or "none"
        raise DataError(f"{folder}: expected two folders, one for each class, got {names}")
    files = [
        (path, index)
        for index, kind in enumerate(classes)
        for path in sorted(kind.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        photos = list(pool.map(lambda item: _decode(item[0]), files))
    if not photos:
        raise DataError(f"{folder}: expected photos ({', '.join(SUFFIXES)}), got none")
    targets = np.array([index for _, index in files], np.int64)
    return Examples(np.stack(photos), targets, tuple(path.name for path in classes))


def build(shape: tuple[int, ...], _classes: int) -> Model:
    """Build three convolutions with pooling, a dense layer of 512 and dropout; the input is (batch, 150, 150, 3).

    The one sigmoid unit becomes two probabilities, so that the output has the form of every other classifier's.
    """
    import keras
    from keras import layers

    images = keras.Input(shape)
    last = images
    for filters in (32, 64, 128):
        last = layers.MaxPooling2D(2)(layers.Conv2D(filters, 3, activation="relu")(last))
    last = layers.Dropout(0.5)(layers.Dense(512, activation="relu")(layers.Flatten()(last)))
    second = layers.Dense(1, activation="sigmoid", dtype="float32")(last)
    first = layers.Rescaling(-1.0, offset=1.0, dtype="float32")(second)
    return keras.Model(images, layers.Concatenate(dtype="float32")([first, second]))


def augment(images: Images, random: np.random.Generator) -> Images:
    """Return each photo rotated, shifted, sheared, zoomed and, with probability 0.5, mirrored."""
    from PIL import Image

    changed = np.empty_like(images)
    for index, image in enumerate(images):
        matrix = _matrix(random)
        turned = Image.fromarray(image).transform(
            (SIDE_PIXELS, SIDE_PIXELS), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        pixels = np.asarray(turned)
        changed[index] = pixels[:, ::-1] if random.random() < 0.5 else pixels
    return changed


def _matrix(random: np.random.Generator) -> tuple[float, ...]:
    """Return (a, b, c, d, e, f): a changed photo's pixel (x, y) is the original's (a*x + b*y + c, d*x + e*y + f)."""
    angle = np.deg2rad(random.uniform(-MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, random.uniform(-MAX_SHEAR, MAX_SHEAR)], [0.0, 1.0]])
    both = turn @ shear / (1 + random.uniform(-MAX_ZOOM, MAX_ZOOM))
    centre = np.full(2, (SIDE_PIXELS - 1) / 2)
    shift = random.uniform(-MAX_SHIFT, MAX_SHIFT, size=2) * SIDE_PIXELS
    offset = centre - both @ (centre + shift)
    return (*both[0], offset[0], *both[1], offset[1])


def _decode(path: Path) -> np.typing.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=["JPEG", "PNG", "WEBP"]) as photo:
            upright: Image.Image = ImageOps.exif_transpose(photo).convert("RGB")
            return np.asarray(upright.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a photo: {str(error)[:200]}") from error


RECIPE = Recipe(
    name="cats-dogs",
    title="Photos of two kinds",
    load=load,
    network=KerasNetwork(build),
    task=ClassificationTask(),
    epochs=20,
    batch_size=32,
    preprocess=ImagePreprocess(height=SIDE_PIXELS, width=SIDE_PIXELS, channels=3),
    augment=augment,
    fast_examples=120,
)
