"""The naive baseline's model: Keras' MobileNetV2 with random weights, saved once by a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from onnxlet_cli.bench.models import REVISION, BenchModel
from onnxlet_cli.errors import FreshProcessError

NAME = "mobile-keras"


def is_possible() -> bool:
    """Return whether Keras and TensorFlow are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("keras", "tensorflow"))


def load(cache: Path) -> BenchModel:
    """Return the model from the cache, and make it if it is missing.

    Raises:
        FreshProcessError: Keras failed.
    """
    folder = (cache / f"{NAME}-{REVISION}").absolute()
    if not (folder / "expected.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        command = [sys.executable, "-m", "onnxlet_cli.bench.keras_model", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FreshProcessError(f"Keras could not make its model: {done.stderr[-2000:]}")
    inputs = {"input": folder / "input.npy"}
    return BenchModel(NAME, folder / "mobile.keras", inputs, np.load(folder / "expected.npy"))


def main(folder: Path) -> None:
    """Make the model, run it once, and write the model, its input and its output into the folder."""
    import keras  # imports TensorFlow, which takes seconds

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    image = np.random.default_rng(0).standard_normal((1, 224, 224, 3), np.float32)
    model.save(folder / "mobile.keras")
    np.save(folder / "input.npy", image)
    np.save(folder / "expected.npy", model.predict(image, verbose=0))  # written last: it marks the cache as complete


if __name__ == "__main__":
    main(Path(sys.argv[1]))
