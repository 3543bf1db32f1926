from pathlib import Path

import numpy as np

from onnxlet_cli.bench import keras_model
from onnxlet_cli.bench.models import REVISION


def test_a_model_in_the_cache_is_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / f"{keras_model.NAME}-{REVISION}"
    folder.mkdir()
    np.save(folder / "input.npy", np.zeros((1, 2), np.float32))
    np.save(folder / "expected.npy", np.ones((1, 3), np.float32))
    model = keras_model.load(tmp_path)
    assert model.path == folder / "mobile.keras"
    assert model.expected.shape == (1, 3)
