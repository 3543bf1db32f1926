"""Arrays from files: Keras's built-in sets, `.npz` files that a user brings."""

import importlib
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidRequestError
from onnxlet_training.recipe import Array, Images, Labels
from onnxlet_training.source import Source


def read_builtin(source: Source, name: str, file: str) -> tuple[Images, Labels]:
    """One of `keras.datasets`, its training and test parts together: from a brought file, else by Keras's download.

    Raises:
        InvalidRequestError: no file was brought and there is no network, or the file is another one.
    """
    path = source.path()
    if path is not None:
        arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
        return _join(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])
    try:
        module = importlib.import_module(f"keras.datasets.{name}")
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # what Keras raises without a network has no common base but this
        raise InvalidRequestError(
            f"{name}: cannot be downloaded; bring it with --data {file} ({_reason(error)})"
        ) from error
    return _join(x_train, y_train, x_test, y_test)


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """The arrays of an `.npz` file; nothing in it is ever unpickled.

    Raises:
        InvalidRequestError: no such file, or it lacks one of the names.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = list(file.files)
            arrays = {name: file[name] for name in names if name in found}
    except Exception as error:  # what zipfile, zlib and numpy's parser of headers raise has no common base but this
        raise InvalidRequestError(f"{path}: expected an .npz file of arrays: {_reason(error)}") from error
    if len(arrays) < len(names):
        raise InvalidRequestError(f"{path}: expected arrays {', '.join(names)}, got {', '.join(found)}")
    return arrays


def _join(x_train: Array, y_train: Array, x_test: Array, y_test: Array) -> tuple[Images, Labels]:
    try:
        images = np.concatenate([x_train, x_test])
        labels = np.concatenate([y_train.reshape(-1), y_test.reshape(-1)])
    except ValueError as error:
        raise InvalidRequestError(f"expected images of one size for training and test: {_reason(error)}") from error
    if images.dtype != np.uint8 or len(images) != len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidRequestError(
            f"expected UINT8 images with an integer as label each, got {images.dtype} and {len(labels)} {labels.dtype}"
        )
    return images, labels.astype(np.int64)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
