"""The models: each adds weights of its own to its input, so that an answer tells which bytes were run."""

import os
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from onnxlet_publishing.gate import GateResult, pass_gate
from tests.helpers import graphs

WIDTH = 16
INPUT = [float(number) for number in range(WIDTH)]


@cache
def weights(number: int) -> Any:
    return np.random.default_rng(number).normal(size=WIDTH).astype(np.float32)


@cache
def expected(number: int) -> list[float]:
    """What the model with this number answers to `INPUT`."""
    values: list[float] = (np.array(INPUT, np.float32) + weights(number)).tolist()
    return values


def passed(name: str, number: int) -> GateResult:
    """A model that has passed the gate, as a publication of its own; its manifest's seed is its number."""
    one = _passed(name, number)
    return replace(one, candidate=replace(one.candidate, publication=os.urandom(16).hex()))


@cache
def _passed(name: str, number: int) -> GateResult:
    proto = graphs.model(
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [("y", TensorProto.FLOAT, ["batch", WIDTH])],
        {"weights": weights(number)},
    )
    return pass_gate(replace(graphs.candidate(name, proto), seed=number))
