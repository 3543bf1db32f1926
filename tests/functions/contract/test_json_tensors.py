import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.json_tensors import from_nested, from_values, require_json, to_nested, to_values
from onnxlet.contract.tensors import (
    DATATYPES,
    MAX_RANK,
    MAX_VALUES,
    Tensor,
    TensorSpec,
    from_bytes,
    zeros,
)
from onnxlet.errors import InvalidTensorError, TooLargeError

ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"])),
    **{f"INT{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}


def empty(*shape: int) -> Tensor:
    return Tensor(DATATYPES["FP32"], shape, memoryview(b""))


def nest(values: list[Any], shape: tuple[int, ...]) -> Any:
    """The flat values nested as their shape says."""
    if not shape:
        return values[0]
    size = math.prod(shape[1:])
    return [nest(values[row * size : (row + 1) * size], shape[1:]) for row in range(shape[0])]


@given(st.data())
def test_values_survive_in_every_datatype_nested_or_flat_or_as_bytes(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ELEMENTS)))
    shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=3)))
    count = math.prod(shape)
    values = data.draw(st.lists(ELEMENTS[name], min_size=count, max_size=count))
    flat = from_values("x", DATATYPES[name], shape, values)
    nested = nest(values, shape)
    assert flat == from_values("x", DATATYPES[name], shape, nested) == from_nested("x", DATATYPES[name], nested)
    assert flat == from_bytes("x", DATATYPES[name], shape, memoryview(bytes(flat.buffer)))
    assert (to_values(flat), to_nested(flat)) == (values, nested)


def test_every_datatype_with_a_json_form_is_tried() -> None:
    assert set(ELEMENTS) == set(DATATYPES) - {"FP16"}


@pytest.mark.parametrize(
    ("datatype", "data", "values"),
    [
        ("FP32", [1, None, 0.5], [1.0, math.nan, 0.5]),
        ("FP64", [None, True, -0.0], [math.nan, 1.0, -0.0]),
        ("FP32", [math.nan, math.inf, -math.inf], [math.nan, math.inf, -math.inf]),
        ("FP64", [math.inf, 3], [math.inf, 3.0]),
        ("INT32", [1.0, -3e2, 7, True], [1, -300, 7, 1]),
        ("UINT64", [2.0**53, 2**64 - 1], [2**53, 2**64 - 1]),
        ("INT64", [-(2.0**53), -0.0], [-(2**53), 0]),
        ("BOOL", [0, 1, True, 1.0, 0.0], [False, True, True, True, False]),
    ],
)
def test_json_has_more_forms_than_one_for_a_value(datatype: str, data: list[Any], values: list[Any]) -> None:
    found = to_values(from_values("x", DATATYPES[datatype], (len(data),), data))
    assert repr(found) == repr(values)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP32", (2,), [1], "expected 2 values for the shape (2,), got 1"),
        ("FP32", (2,), [1, 2, 3], "expected 2 values for the shape (2,), got 3"),
        ("FP32", (2, 2), [[1, 2], [3]], "expected data nested as the shape (2, 2)"),
        ("FP32", (2, 2), [[1, 2], 3], "expected data nested"),
        ("FP32", (2, 2), [[1, 2, 3], [4]], "expected data nested"),
        ("FP32", (4,), [[1, 2], [3, 4]], "expected data nested"),
        ("FP32", (1,), [[[1]]], "expected FP32 values"),
        ("FP32", (2,), ["1", "2"], "expected FP32 values, got string at position 0"),
        ("FP64", (2, 2), [[1, None], [{}, 2]], "expected FP64 values, got object at position 2"),
        ("FP64", (2,), [1, [2]], "expected FP64 values, got list at position 1"),
        ("FP32", (2,), {"0": 1, "1": 2}, "expected 2 values"),
        ("FP32", (3,), [math.inf, 1e39, 0], "expected FP32 values, but one is too large"),
        ("FP32", (3,), [0, 1e39, 0], "expected FP32 values, but one is too large"),
        ("FP32", (3,), [0, -1e39, 0], "expected FP32 values, but one is too large"),
        ("INT8", (1,), [128], "expected INT8 values"),
        ("UINT8", (1,), [-1], "expected UINT8 values"),
        ("INT64", (1,), [2**63], "expected INT64 values"),
        ("INT32", (2,), [1.0, 1.5], "expected INT32 values, got 1.5 at position 1"),
        ("INT32", (1,), [1e10], "expected INT32 values"),
        ("INT64", (2,), [2.0**53, 2.0**53 + 2], "expected INT64 values, got 9007199254740994.0 at position 1"),
        ("UINT64", (1,), [-(2.0**53) - 2], "expected UINT64 values, got -9007199254740994.0 at position 0"),
        ("INT32", (2,), [1, None], "expected INT32 values, got null at position 1"),
        ("INT32", (1,), [math.nan], "expected INT32 values, got nan at position 0"),
        ("INT32", (1,), [math.inf], "expected INT32 values, got inf at position 0"),
        ("BOOL", (1,), [2], "expected true or false for BOOL, got 2 at position 0"),
        ("BOOL", (2,), [True, 0.5], "expected true or false for BOOL, got 0.5 at position 1"),
        ("BOOL", (1,), ["true"], "expected true or false for BOOL, got string at position 0"),
        ("BOOL", (1,), [None], "expected true or false for BOOL, got null at position 0"),
        ("BOOL", (1,), [[]], "expected true or false for BOOL, got list at position 0"),
        ("BYTES", (1,), [1], "expected strings for BYTES, got 1 at position 0"),
        ("BYTES", (2,), ["a", None], "expected strings for BYTES, got null at position 1"),
        ("BYTES", (1,), [True], "expected strings for BYTES, got boolean at position 0"),
        ("FP16", (1,), [1.0], "FP16 has no JSON form; send it as binary tensor data"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_the_inputs_name(
    datatype: str, shape: tuple[int, ...], data: Any, words: str
) -> None:
    with pytest.raises(InvalidTensorError, match='input "pixels": ') as caught:
        from_values("pixels", DATATYPES[datatype], shape, data)
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"\1\1\0\0\x80\x7f\1\1", b"\1\1\0\0\x80\xff\1\1"])
def test_two_numbers_may_hold_the_bytes_of_an_infinity_between_them(data: bytes) -> None:
    tensor = from_values("x", DATATYPES["FP32"], (2,), list(struct.unpack("<2f", data)))
    assert bytes(tensor.buffer) == data


def test_data_are_nested_no_deeper_than_a_tensor_may_be() -> None:
    data: Any = 1.0
    for _ in range(MAX_RANK):
        data = [data]
    assert from_nested("x", DATATYPES["FP32"], data).shape == (1,) * MAX_RANK
    with pytest.raises(InvalidTensorError, match=f'input "x": expected at most {MAX_RANK} dimensions'):
        from_nested("x", DATATYPES["FP32"], [data])


def test_nested_data_may_be_empty_but_not_of_another_form() -> None:
    assert from_nested("x", DATATYPES["FP32"], []).shape == (0,)
    assert from_nested("x", DATATYPES["FP32"], [[], []]).shape == (2, 0)
    with pytest.raises(InvalidTensorError, match=r'input "x": expected data nested as the shape \(2, 1\)'):
        from_nested("x", DATATYPES["FP32"], [[1], [2, 3]])


def test_half_precision_has_no_values() -> None:
    with pytest.raises(
        InvalidTensorError, match="an output is FP16, which has no JSON form: request it as binary data"
    ):
        to_values(zeros(spec(1, datatype="FP16")))


def spec(*shape: int | str, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec("x", DATATYPES[datatype], shape)


def test_an_answer_in_json_is_bounded_by_its_values_and_lists() -> None:
    """Counted by the shapes alone: no such tensor is ever made."""
    require_json([])
    require_json([empty(MAX_VALUES)])
    require_json([empty(MAX_VALUES - 1, 1), empty()])
    require_json([empty(MAX_VALUES)], is_nested=True)
    require_json([empty(MAX_VALUES // 2, 1)], is_nested=True)
    require_json([empty(2, 3, MAX_VALUES // 6 - 2)] * 1, is_nested=True)
    for found, is_nested, count in (
        ([empty(MAX_VALUES + 1)], False, MAX_VALUES + 1),
        ([empty(MAX_VALUES), empty()], False, MAX_VALUES + 1),
        ([empty(2**39, 0)], False, 2**39),
        ([empty(MAX_VALUES // 2, 0, 2)], True, MAX_VALUES * 2),
        ([empty(MAX_VALUES // 2 + 1, 1)], True, MAX_VALUES + 2),
    ):
        with pytest.raises(TooLargeError) as caught:
            require_json(found, is_nested=is_nested)
        text = f"the answer has {count} values, expected at most {MAX_VALUES} in JSON: request fewer rows or outputs"
        assert str(caught.value) == f"{text}, or binary data"


def test_a_tensor_is_not_made_into_json_beyond_the_bound() -> None:
    for convert, tensor in ((to_values, empty(1, 2**39, 0)), (to_nested, empty(MAX_VALUES // 2 + 1, 0))):
        with pytest.raises(TooLargeError, match="the answer has"):
            convert(tensor)
    assert to_nested(empty(2, 0)) == [[], []]
    assert to_values(empty(2, 0)) == []
