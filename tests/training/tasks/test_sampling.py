import numpy as np
import pytest

from onnxlet_training.tasks.sampling import frechet_distance, latent_vectors


def test_the_distance_of_features_to_themselves_is_nothing_and_grows_with_a_shift() -> None:
    features = np.random.default_rng(0).normal(size=(500, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + 3) == pytest.approx(4 * 9, rel=1e-6)
    assert frechet_distance(features, 2 * features) > 1


def test_latent_vectors_are_the_same_each_time() -> None:
    first = latent_vectors(5, 3)
    assert first.shape == (5, 3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, latent_vectors(5, 3))
