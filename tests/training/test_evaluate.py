import numpy as np
import pytest

from onnxlet_training.evaluate import evaluate


def test_measures_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2], np.int64)
    predicted = np.array([0, 0, 1, 1, 1, 0])
    evaluation = evaluate(np.eye(3, dtype=np.float32)[predicted], truth, ("a", "b", "c"))
    assert evaluation["accuracy"] == pytest.approx(4 / 6)
    assert evaluation["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert evaluation["classes"][0]["precision"] == pytest.approx(2 / 3)
    assert evaluation["classes"][1]["recall"] == 1.0
    assert evaluation["classes"][1]["f1"] == pytest.approx(0.8)
    assert evaluation["classes"][2]["f1"] == 0.0
    assert [score["support"] for score in evaluation["classes"]] == [3, 2, 1]
    assert evaluation["recall"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_confidence_is_held_against_what_was_right() -> None:
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.85, 0.15], [0.35, 0.65]], np.float32)
    evaluation = evaluate(probabilities, np.array([0, 0, 1, 1], np.int64), ("a", "b"))
    assert [each["count"] for each in evaluation["calibration"]] == [1, 1, 2]
    assert evaluation["calibration"][1]["accuracy"] == 0.0
    assert evaluation["calibration_error"] == pytest.approx((0.35 + 0.85 + 0.15) / 4)
    assert evaluation["auc"] == pytest.approx(1.0)


def test_the_mean_roc_curve_has_the_mean_area() -> None:
    truth = np.array([0, 1, 0, 1, 0, 1], np.int64)
    of_second = np.array([0.1, 0.3, 0.4, 0.6, 0.7, 0.9], np.float32)
    evaluation = evaluate(np.stack([1 - of_second, of_second], axis=1), truth, ("a", "b"))
    rates, hits = np.array(evaluation["roc"]).T
    assert len(rates) <= 101
    assert (rates[0], hits[0], rates[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, rates) == pytest.approx(evaluation["auc"], abs=0.02)


def test_a_class_that_never_occurs_does_not_fail() -> None:
    evaluation = evaluate(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1], np.int64), ("a", "b", "c"))
    assert evaluation["accuracy"] == 1.0
    assert evaluation["classes"][2]["support"] == 0
    assert evaluation["roc"]


def test_where_all_are_of_one_class_there_is_no_roc_curve() -> None:
    evaluation = evaluate(np.eye(2, dtype=np.float32)[[0, 0]], np.array([0, 0], np.int64), ("a", "b"))
    assert evaluation["roc"] == []
    assert evaluation["auc"] is None
