"""The cases: ONNX's own node tests with what plain ONNX Runtime answers, and why some cannot be asked over V2."""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from onnxlet.contract.tensors import BY_ONNX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from onnx.backend.test.case.test_case import TestCase

    Arrays = dict[str, npt.NDArray[Any]]

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-5
"""Between ONNX Runtime's answer and ONNX's: two implementations, so not to the last bit. Ours must be equal."""

MAX_NAME = 63


class LeftOutError(Exception):
    """A case that cannot be asked; the text is the reason, the same for all cases that it holds for."""


@dataclass(frozen=True)
class Case:
    """A graph with one operator (or what its definition expands to), and what it makes of its inputs."""

    name: str
    """ONNX's."""
    graph: bytes
    inputs: Arrays
    answers: Arrays
    """ONNX Runtime's own, in this process."""

    @property
    def model(self) -> str:
        """The case's name in the registry, where a name is shorter than some of ONNX's."""
        name = re.sub("[^a-z0-9._-]", "-", self.name.lower())
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        return name if name == self.name and len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9]}-{digest}"


def load_tests() -> list[TestCase]:
    """All of ONNX's node tests; the wheel has the code that makes them, and not their files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they divide by zero and overflow on purpose
        return load_model_tests(kind="node")


def to_case(test: TestCase) -> Case:
    """Run a test in this process, and keep what comes out of it.

    Raises:
        LeftOutError: V2 cannot carry it, no two answers to it are the same, or ONNX Runtime itself does not pass it.
    """
    assert test.model is not None
    assert test.data_sets is not None
    _check_carried(test.model.graph)
    _check_repeatable(test.model.graph)
    ((given, wanted),) = test.data_sets
    inputs = _named(test.model.graph.input, given)
    graph = test.model.SerializeToString()
    answers = _run(graph, inputs)
    expected = _named(test.model.graph.output, wanted)
    if not all(_is_close(answers[name], expected[name]) for name in expected):
        raise LeftOutError("onnxruntime itself does not pass it: its answer is not ONNX's")
    return Case(test.name, graph, inputs, answers)


def _check_carried(graph: onnx.GraphProto) -> None:
    if not graph.input:
        raise LeftOutError("it has no input, and a model that is served has one")
    kinds = [value.type for value in (*graph.input, *graph.output)]
    if any(kind.WhichOneof("value") != "tensor_type" for kind in kinds):
        raise LeftOutError("a sequence or an optional: V2 carries tensors alone")
    if any(kind.tensor_type.elem_type not in BY_ONNX for kind in kinds):
        raise LeftOutError("a datatype that V2 does not have (bfloat16, float8, float4, int4, int2, ...)")


def _check_repeatable(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        # The third input of Dropout says that the graph is in training: without it nothing is dropped.
        if node.op_type in RANDOM or (node.op_type == "Dropout" and len(node.input) > 2):
            raise LeftOutError("random, or dropout in training: each answer is another one")


def _named(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[Any]) -> Arrays:
    return {value.name: _to_array(array) for value, array in zip(values, arrays, strict=True)}


def _to_array(found: npt.NDArray[Any] | onnx.TensorProto) -> npt.NDArray[Any]:
    """What ONNX has as an array, a scalar or a tensor's message, strings always as Python's objects; in fresh memory.

    That is aligned, as a slice of another array need not be, and on the alignment depend the last bits of sums.
    """
    array = np.array(numpy_helper.to_array(found) if isinstance(found, onnx.TensorProto) else found, order="C")
    return array.astype(object) if array.dtype.kind in "SUT" else array


def _run(graph: bytes, inputs: Arrays) -> Arrays:
    """What plain ONNX Runtime answers, by the names of the outputs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # fatal only: what matters comes back as an exception
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise LeftOutError("onnxruntime itself does not pass it: no such operator, type or opset") from error
    names = [value.name for value in session.get_outputs()]
    try:
        return dict(zip(names, map(np.asarray, session.run(names, inputs)), strict=True))
    except Exception as error:  # as above
        raise LeftOutError("onnxruntime itself does not pass it: it fails on the inputs") from error


def _is_close(answer: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    if (answer.dtype, answer.shape) != (expected.dtype, expected.shape):
        return False
    if answer.dtype.kind != "f":
        return bool(np.array_equal(answer, expected))
    return bool(np.allclose(answer, expected, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True))
