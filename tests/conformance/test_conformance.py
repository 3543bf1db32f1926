from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from onnxlet.contract.tensors import BY_NUMPY, Tensor
from onnxlet.session import open_session
from tests.conformance.cases import load_tests, to_case
from tests.conformance.comparison import BINARY, BOTH, JSON, compare, differences

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

STRIDE = 100
SPECIAL = {
    "test_and_bcast4v2d",  # BOOL
    "test_attention_4d_fp16",  # bytes alone
    "test_dynamicquantizelinear",  # outputs without dimensions
    "test_isinf",  # infinities among the inputs
    "test_reduce_max_empty_set",  # infinities among the outputs
    "test_reduce_sum_default_axes_keepdims_random",
    "test_string_concat_utf8",
    "test_string_concat_zero_dimensional",
    "test_string_split_empty_tensor",
    "test_triu_zero",  # a dimension of size 0, in and out
}


def test_a_sample_of_the_cases_has_onnx_runtimes_own_answers(tmp_path: Path) -> None:
    tests = load_tests()
    sample = [test for index, test in enumerate(tests) if index % STRIDE == 0 or test.name in SPECIAL]
    assert {test.name for test in sample} >= SPECIAL
    report = compare(sample, "gcp", tmp_path, Console(quiet=True))
    assert report.wrong == []
    assert report.asked[BINARY] > report.asked[JSON] > len(sample) / 2
    left_out = sum(count for (form, _), count in report.left_out.items() if form == BOTH)
    assert report.asked[BINARY] + left_out == len(sample)


@pytest.mark.parametrize(
    "answer",
    [
        np.array([1, np.nan, np.nextafter(np.float32(0.5), np.float32(1))], np.float32),
        np.array([1, np.nan, 0.5], np.float64),
        np.array([[1, np.nan, 0.5]], np.float32),
        np.array([np.nan, 1, 0.5], np.float32),
    ],
    ids=["last-bit", "datatype", "shape", "nan"],
)
def test_another_answer_is_found(answer: npt.NDArray[Any]) -> None:
    expected = np.array([1, np.nan, 0.5], np.float32)
    assert list(differences({"y": answer}, {"y": expected}))
    assert list(differences({}, {"y": expected}))
    assert not list(differences({"y": expected.copy()}, {"y": expected}))


@pytest.mark.parametrize("offset", range(16))
def test_an_answer_does_not_depend_on_where_a_tensor_lies_in_the_body(offset: int) -> None:
    case = to_case(next(test for test in load_tests() if test.name == "test_reduce_sum_default_axes_keepdims_random"))
    inputs = {
        name: Tensor(BY_NUMPY[array.dtype.name], array.shape, memoryview(bytes(offset) + array.tobytes())[offset:])
        for name, array in case.inputs.items()
    }
    (output,) = open_session(case.graph).run(inputs, list(case.answers))
    (expected,) = case.answers.values()
    assert bytes(output.buffer) == expected.tobytes()
