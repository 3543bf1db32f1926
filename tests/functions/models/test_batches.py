import uuid
from collections.abc import Mapping
from typing import cast

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.json_tensors import to_values
from onnxlet.contract.tensors import BY_NUMPY, Tensor
from onnxlet.errors import InferenceError, InvalidTensorError, OnnxletError
from onnxlet.models.batches import _groups, attempt
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.tasks.rows import Batch, Outputs
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def loaded(candidate: Candidate) -> Model:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    return load(registry, publish(registry, candidate), threads=1)


@pytest.fixture(scope="module")
def sums() -> Model:
    return loaded(graphs.candidate("sums", graphs.sums()))


def tensor(array: "np.ndarray") -> Tensor:
    return Tensor(BY_NUMPY[array.dtype.name], array.shape, memoryview(array.tobytes()))


def rows(*values: float) -> Batch:
    array = np.repeat(np.array(values, np.float32)[:, None], 3, axis=1)
    return Batch({"x": tensor(array)}, len(values))


def groups(model: Model, asked: list[Batch], **bound: int) -> list[list[int]]:
    return _groups(model.manifest, asked, **bound)


def test_rows_of_many_run_as_one_tensor_and_come_back_apart(sums: Model) -> None:
    asked = [rows(1), rows(2, 3), rows(4, 5, 6)]
    assert groups(sums, asked) == [[0, 1, 2]]
    assert [to_values(outputs["total"]) for outputs in sums.run_all(asked)] == [[3], [6, 9], [12, 15, 18]]


def test_what_is_of_another_shape_runs_apart_and_the_order_stays(sums: Model) -> None:
    odd = Batch({"x": tensor(np.ones((1, 4), np.float32))}, 1)
    asked = [rows(1), odd, rows(2)]
    assert groups(sums, asked) == [[0, 2], [1]]
    first, error, last = sums.attempt(asked)
    assert isinstance(error, InvalidTensorError)
    assert [to_values(outcome["total"]) for outcome in (first, last) if not isinstance(outcome, OnnxletError)] == [
        [3],
        [6],
    ]
    with pytest.raises(InvalidTensorError):
        sums.run_all(asked)


def test_one_that_fails_among_others_of_its_shape_fails_alone() -> None:
    gather = loaded(graphs.candidate("gather", graphs.gather()))
    asked = [Batch({"index": tensor(np.array([index]))}, 1) for index in (0, 99, 3)]
    assert groups(gather, asked) == [[0, 1, 2]]
    outcomes = gather.attempt(asked)
    assert isinstance(outcomes[1], InferenceError)
    assert [to_values(outcome["row"]) for outcome in outcomes if not isinstance(outcome, OnnxletError)] == [
        [0, 1],
        [6, 7],
    ]


def test_a_batch_without_rows_does_not_hide_among_others(sums: Model) -> None:
    asked = [rows(1), Batch({"x": tensor(np.ones((0, 3), np.float32))}, 0), rows(2)]
    assert groups(sums, asked) == [[0, 2], [1]]
    assert isinstance(sums.attempt(asked)[1], InvalidTensorError)


def test_no_more_than_the_bound_runs_at_once(sums: Model) -> None:
    asked = [rows(value) for value in range(5)]
    assert groups(sums, asked, at_most_bytes=2 * 12) == [[0, 1], [2, 3], [4]]


def test_texts_are_joined_and_come_back_apart() -> None:
    model = loaded(graphs.candidate("text", graphs.identity(TensorProto.STRING)))
    asked = [Batch({"x": Tensor(BY_NUMPY["object"], (1,), memoryview(b"\x01\0\0\0a"))}, 1)] * 2
    asked.append(Batch({"x": Tensor(BY_NUMPY["object"], (2,), memoryview(b"\x03\0\0\0b\xc3\xa9\0\0\0\0"))}, 2))
    assert [to_values(outputs["y"]) for outputs in model.run_all(asked)] == [["a"], ["a"], ["bé", ""]]


@pytest.mark.parametrize(("first", "last"), [("batch", "rows"), (1, 1), ("batch", 1)])
def test_a_model_whose_rows_may_belong_together_runs_each_alone(first: int | str, last: int | str) -> None:
    mean = graphs.model(
        [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=1)],
        [("x", TensorProto.FLOAT, [first, 3])],
        [("y", TensorProto.FLOAT, [last, 1])],
    )
    model = loaded(graphs.candidate("mean", mean))
    asked = [rows(1), rows(3)]
    assert groups(model, asked) == [[0], [1]]
    assert [to_values(outputs["y"]) for outputs in model.run_all(asked)] == [[1], [3]]


def test_rows_of_a_task_run_as_many_at_a_time_as_fit(sums: Model) -> None:
    ran = []

    def run(inputs: Mapping[str, Tensor]) -> Outputs:
        ran.append(inputs["x"].shape)
        return sums.run(inputs)

    own, sent = rows(1, 2, 3, 4, 5), rows(6, 7, 8)
    own.context = "of a task"
    outcomes = attempt(sums.manifest, run, [own], 24)
    assert (ran, [to_values(outputs["total"]) for outputs in cast(list[Outputs], outcomes)]) == (
        [(2, 3), (2, 3), (1, 3)],
        [[3, 6, 9, 12, 15]],
    )
    attempt(sums.manifest, run, [sent], 1)
    assert ran[3:] == [(3, 3)]
