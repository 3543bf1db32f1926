import numpy as np
import pytest

from onnxlet_cli.drift.compare import CHANCE, chance, stability_index


def test_the_same_shares_have_the_index_zero_whatever_their_number() -> None:
    assert stability_index([10, 20, 30], [10, 20, 30]) == 0
    assert stability_index([1000, 2000, 3000], [100, 200, 300]) < 1e-4


def test_the_index_is_the_one_of_its_definition() -> None:
    """Half and half to nine tenths and one: (0.9 - 0.5) ln(0.9 / 0.5) + (0.1 - 0.5) ln(0.1 / 0.5)."""
    assert stability_index([50_000, 50_000], [90_000, 10_000]) == pytest.approx(0.8789, abs=1e-3)


def test_a_bin_that_was_empty_makes_it_large_and_finite() -> None:
    assert 1 < stability_index([100, 100, 0], [0, 0, 200]) < 20


@pytest.mark.parametrize(("before", "now"), [(270, 100), (2000, 50), (400, 5000)])
def test_chance_alone_hardly_ever_exceeds_its_bound(before: int, now: int) -> None:
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    over = 0
    for _ in range(2000):
        first, second = (random.multinomial(count, shares).tolist() for count in (before, now))
        over += stability_index(first, second) > chance(first, second)
    assert over / 2000 <= 4 * CHANCE


def test_more_samples_bound_chance_closer() -> None:
    assert chance([30] * 10, [10] * 10) > chance([30] * 10, [1000] * 10) > chance([300] * 10, [1000] * 10)
