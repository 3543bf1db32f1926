import numpy as np

from onnxlet.contract.training_statistics import CONFIDENCE
from onnxlet_training.training_statistics import BINS, CONFIDENCE_CUTS, compute_statistics


def test_every_measure_is_divided_into_bins_of_equal_counts() -> None:
    rows = np.arange(100, dtype=np.float32)[:, None]
    statistics = compute_statistics({"x": rows}, np.tile(np.array([[0.8, 0.2]], np.float32), (100, 1)))
    assert statistics.labels == (100, 0)
    distribution = statistics.measures["x[0]"]
    assert distribution.counts == (10,) * BINS
    assert distribution.mean == 49.5


def test_a_measure_of_one_value_has_one_cut() -> None:
    statistics = compute_statistics({"x": np.ones((5, 1), np.float32)}, np.eye(2, dtype=np.float32)[[0, 1, 1, 0, 0]])
    assert statistics.labels == (3, 2)
    assert statistics.measures["x[0]"].cuts == (1.0,)
    assert statistics.measures["x[0]"].counts == (0, 5)


def test_the_confidence_has_fixed_cuts() -> None:
    statistics = compute_statistics({}, np.array([[0.55, 0.45], [0.001, 0.999]], np.float32))
    confidence = statistics.measures[CONFIDENCE]
    assert confidence.cuts == CONFIDENCE_CUTS
    assert confidence.counts == (0, 1, 0, 0, 0, 0, 0, 1)
