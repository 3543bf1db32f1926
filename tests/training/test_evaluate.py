import numpy as np
import pytest

from training.evaluate import evaluate


def test_measures_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2], np.int64)
    predicted = np.array([0, 0, 1, 1, 1, 0])
    evaluation = evaluate(np.eye(3, dtype=np.float32)[predicted], truth, ("a", "b", "c"))
    assert evaluation.accuracy == pytest.approx(4 / 6)
    assert evaluation.confusion == ((2, 1, 0), (0, 2, 0), (1, 0, 0))
    assert evaluation.classes[0].precision == pytest.approx(2 / 3)
    assert evaluation.classes[1].recall == 1.0
    assert evaluation.classes[1].f1 == pytest.approx(0.8)
    assert evaluation.classes[2].f1 == 0.0
    assert [score.support for score in evaluation.classes] == [3, 2, 1]
    assert evaluation.recall == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_class_that_never_occurs_does_not_fail() -> None:
    evaluation = evaluate(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1], np.int64), ("a", "b", "c"))
    assert evaluation.accuracy == 1.0
    assert evaluation.classes[2].support == 0
