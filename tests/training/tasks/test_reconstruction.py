import numpy as np
import pytest

from onnxlet.contract.generation import ImageGeneration
from onnxlet_training.errors import DataError
from onnxlet_training.recipe import Examples, Options
from onnxlet_training.tasks.reconstruction import ANOMALY, ReconstructionTask

TASK = ReconstructionTask(ImageGeneration("latent", "images"))


def test_the_anomaly_is_in_the_test_part_only() -> None:
    targets = np.arange(100) % 5
    train, validation, test = TASK.split(Examples(targets[:, None], targets, tuple("01234")), Options())
    assert sorted(np.concatenate([train, validation, test])) == list(range(100))
    assert ANOMALY not in targets[np.concatenate([train, validation])]
    assert (targets[test] == ANOMALY).sum() == 20
    assert (targets[test] != ANOMALY).sum() == len(validation) == 12


def test_one_class_is_not_enough() -> None:
    with pytest.raises(DataError, match="at least two classes, one of which is kept out of training"):
        TASK.split(Examples(np.zeros((9, 1)), np.zeros(9, np.int64), ("0",)), Options())
