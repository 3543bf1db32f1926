"""Arrays from files: Keras's built-in data sets, and the user's `.npz` files."""

import importlib
from pathlib import Path

import numpy as np

from onnxlet_training.errors import DataError
from onnxlet_training.recipe import Array, Images, Labels
from onnxlet_training.source import Source


def read_builtin(source: Source, name: str, file: str) -> tuple[Images, Labels]:
    """Read a data set of `keras.datasets`, training and test parts together, from `--data` or else by download.

    Raises:
        DataError: there is neither a file nor a network, or the file has another form.
    """
    path = source.path()
    if path is not None:
        arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
        return _join(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])
    try:
        module = importlib.import_module(f"keras.datasets.{name}")
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # Keras's errors without a network have no other common base
        raise DataError(f"{name}: cannot be downloaded; pass the file with --data {file} ({_reason(error)})") from error
    return _join(x_train, y_train, x_test, y_test)


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """Read the arrays of an `.npz` file without ever unpickling.

    Raises:
        DataError: the file is not an `.npz` file, or lacks one of the names.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            present = list(file.files)
            arrays = {name: file[name] for name in names if name in present}
    except Exception as error:  # the errors of zipfile, zlib and numpy's header parser have no other common base
        raise DataError(f"{path}: expected an .npz file of arrays: {_reason(error)}") from error
    if len(arrays) < len(names):
        raise DataError(f"{path}: expected arrays {', '.join(names)}, got {', '.join(present)}")
    return arrays


def _join(x_train: Array, y_train: Array, x_test: Array, y_test: Array) -> tuple[Images, Labels]:
    try:
        images = np.concatenate([x_train, x_test])
        labels = np.concatenate([y_train.reshape(-1), y_test.reshape(-1)])
    except ValueError as error:
        raise DataError(f"expected images of one size for training and test: {_reason(error)}") from error
    if images.dtype != np.uint8 or len(images) != len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"expected UINT8 images with an integer label each, got {images.dtype} and {len(labels)} {labels.dtype}"
        )
    return images, labels.astype(np.int64)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
