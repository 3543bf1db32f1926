"""Functions of a classifier's output, compared with their definitions."""

import math

import numpy as np
import pytest

from onnxlet.tasks.classification import apply

SCORES = [2.0, -1.0, 0.5]


def test_each_function_is_what_its_name_says() -> None:
    powers = np.exp(SCORES)
    assert apply("none", SCORES) == SCORES
    assert apply("softmax", SCORES) == pytest.approx(powers / powers.sum())
    assert apply("sigmoid", SCORES) == pytest.approx(1 / (1 + np.exp(-np.array(SCORES))))


def test_large_numbers_do_not_overflow() -> None:
    assert apply("softmax", [1000.0, 999.0]) == pytest.approx([0.7310586, 0.2689414])
    assert apply("sigmoid", [1000.0, -1000.0]) == [1, 0]


def test_a_single_score_is_that_of_the_second_class() -> None:
    assert apply("softmax", [math.log(3)]) == pytest.approx([0.75])
