import numpy as np

from onnxlet_training.recipe import Examples, Options
from onnxlet_training.tasks.text import OVERLAP, TextTask


def test_no_two_parts_of_a_text_share_a_window() -> None:
    windows = np.zeros((100, 65), np.int64)
    train, validation, test = TextTask(8).split(Examples(windows, np.zeros(100, np.int64)), Options())
    assert validation[0] - train[-1] == test[0] - validation[-1] == OVERLAP + 1
    assert (len(train), len(validation), len(test)) == (76, 6, 10)
    assert test[-1] == 99
