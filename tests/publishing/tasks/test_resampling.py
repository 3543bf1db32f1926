"""Resampling, compared with the definition of its filter and with scipy's."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto
from scipy.signal import resample_poly

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.session import open_session
from onnxlet_publishing.graph_builder import GraphBuilder, Tensors
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.tasks.resampling import resampled

Samples = npt.NDArray[np.float32]


def graph(target: int) -> bytes:
    builder = GraphBuilder()
    builder.add("Identity", resampled(builder, "samples", "rate", target), result="tensor")
    inputs: Tensors = {"samples": (TensorProto.FLOAT, ["n"]), "rate": (TensorProto.INT64, [1])}
    return builder.to_bytes("resampling", inputs, {"tensor": (TensorProto.FLOAT, ["m"])})


def run(samples: Samples, rate: int, target: int) -> Samples:
    session = open_session(graph(target))
    inputs = {
        "samples": to_tensor(samples),
        "rate": Tensor(DATATYPES["INT64"], (1,), memoryview(rate.to_bytes(8, "little"))),
    }
    (tensor,) = session.run(inputs, ["tensor"])
    return np.frombuffer(tensor.buffer, np.float32).reshape(tensor.shape)


def by_definition(samples: Samples, rate: int, target: int, position: int) -> float:
    """One sample at the new rate: the sum over all samples, each times the filter at its distance."""
    cutoff = 0.99 * min(rate, target)
    lobes = (np.arange(len(samples)) / rate - position / target) * cutoff
    window = np.where(np.abs(lobes) < 6, np.cos(lobes * math.pi / 12) ** 2, 0)
    return float((samples * np.sinc(lobes) * window).sum() * cutoff / rate)


def sound(rate: int, seconds: float = 0.3) -> Samples:
    times = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * math.pi * 230 * times) + 0.3 * np.sin(2 * math.pi * 410 * times + 1)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("target", [8000, 16_000])
def test_each_sample_is_the_sum_that_defines_it(rate: int, target: int) -> None:
    samples = np.random.default_rng(0).normal(size=int(0.05 * rate)).astype(np.float32)
    found = run(samples, rate, target)
    assert len(found) == math.ceil(len(samples) * target / rate)
    if rate == target:
        np.testing.assert_array_equal(found, samples)
        return
    for position in [0, 1, 7, len(found) // 2, len(found) - 1]:
        assert found[position] == pytest.approx(by_definition(samples, rate, target, position), abs=2e-5)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_the_sound_is_that_of_scipy(rate: int) -> None:
    samples, common = sound(rate), math.gcd(rate, 16_000)
    expected = resample_poly(samples, 16_000 // common, rate // common)
    assert np.corrcoef(run(samples, rate, 16_000), expected)[0, 1] > 0.9999


@pytest.mark.parametrize("rate", [11_127, 44_056, 8001])
def test_a_rate_that_has_no_large_divisor_in_common_is_interpolated(rate: int) -> None:
    found = run(sound(rate), rate, 16_000)
    assert abs(len(found) - 0.3 * 16_000) <= 2
    assert np.corrcoef(found, sound(16_000)[: len(found)])[0, 1] > 0.999


@pytest.mark.parametrize("count", [1, 2, 3, 50, 600, 601])
def test_a_sound_may_be_shorter_than_the_filter(count: int) -> None:
    samples = np.ones(count, np.float32)
    found = run(samples, 48_000, 16_000)
    assert len(found) == math.ceil(count / 3)
    assert found[0] == pytest.approx(by_definition(samples, 48_000, 16_000, 0), abs=1e-6)
