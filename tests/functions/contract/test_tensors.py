import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.tensors import (
    BY_ONNX,
    DATATYPES,
    MAX_RANK,
    MAX_VALUES,
    Tensor,
    TensorSpec,
    check,
    from_bytes,
    from_nested,
    from_values,
    join,
    pack_strings,
    require_json,
    split,
    to_nested,
    to_values,
    unpack_strings,
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


@given(st.data())
def test_rows_are_joined_and_come_apart_again(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ELEMENTS)))
    width = data.draw(st.integers(1, 3))
    counts = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    values = [data.draw(st.lists(ELEMENTS[name], min_size=width * n, max_size=width * n)) for n in counts]
    parts = [from_values("x", DATATYPES[name], (n, width), each) for n, each in zip(counts, values, strict=True)]
    whole = join(parts)
    assert whole == from_values("x", DATATYPES[name], (sum(counts), width), [one for each in values for one in each])
    assert split(whole, counts) == parts


def test_every_datatype_with_a_json_form_is_tried() -> None:
    assert set(ELEMENTS) == set(DATATYPES) - {"FP16"}


def test_the_table_agrees_with_onnx_and_numpy() -> None:
    from onnx import helper

    for datatype in DATATYPES.values():
        assert BY_ONNX[datatype.onnx] is datatype
        if datatype.name != "BYTES":
            dtype = helper.tensor_dtype_to_np_dtype(datatype.onnx)
            assert (dtype.name, dtype.itemsize) == (datatype.numpy, datatype.size_bytes)


def test_bytes_are_little_endian_and_in_row_major_order() -> None:
    tensor = from_values("x", DATATYPES["INT32"], (2, 2), [[1, 2], [3, 4]])
    assert bytes(tensor.buffer) == struct.pack("<4i", 1, 2, 3, 4)


def test_strings_may_be_bytes_and_need_not_be_text() -> None:
    tensor = from_values("x", DATATYPES["BYTES"], (2,), [b"\xff", "é"])
    assert unpack_strings(tensor.buffer) == [b"\xff", b"\xc3\xa9"]
    assert to_values(tensor) == ["\ufffd", "é"]


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


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_a_tensor_may_be_empty(shape: tuple[int, ...]) -> None:
    tensor = from_values("x", DATATYPES["FP32"], shape, [])
    assert to_values(tensor) == []
    assert from_bytes("x", DATATYPES["BOOL"], shape, memoryview(b"")).shape == shape


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP32", (2,), [1], "expected 2 values for the shape (2,), got 1"),
        ("FP32", (2,), [1, 2, 3], "expected 2 values for the shape (2,), got 3"),
        ("FP32", (2, 2), [[1, 2], [3]], "data are not nested as the shape (2, 2) says"),
        ("FP32", (2, 2), [[1, 2], 3], "not nested"),
        ("FP32", (2, 2), [[1, 2, 3], [4]], "not nested"),
        ("FP32", (4,), [[1, 2], [3, 4]], "not nested"),
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


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP32", (2,), bytes(7), 'input "pixels": expected 8 bytes for FP32 (2,), got 7'),
        ("BOOL", (2,), b"\1\2", 'input "pixels": expected bytes 0 or 1 for BOOL'),
        ("BYTES", (2,), b"\1\0\0\0a", 'input "pixels": expected 2 elements for BYTES (2,), got 1'),
        ("BYTES", (2,), b"\1\0\0\0a\5\0\0\0a", "BYTES data: element 1 ends at byte 14 of 10"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(datatype: str, shape: tuple[int, ...], data: bytes, words: str) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        from_bytes("pixels", DATATYPES[datatype], shape, memoryview(data))
    assert str(caught.value) == words


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
    with pytest.raises(InvalidTensorError, match=r'input "x": data are not nested as the shape \(2, 1\) says'):
        from_nested("x", DATATYPES["FP32"], [[1], [2, 3]])


def test_half_precision_has_no_values() -> None:
    with pytest.raises(InvalidTensorError, match="an output is FP16, which has no JSON form; ask for binary data"):
        to_values(zeros(spec(1, datatype="FP16")))


@given(st.lists(st.binary()))
def test_strings_are_packed_and_unpacked(elements: list[bytes]) -> None:
    assert unpack_strings(pack_strings(elements)) == elements


@given(st.binary(max_size=64))
def test_unpacking_strings_never_leaves_the_buffer(data: bytes) -> None:
    try:
        elements = unpack_strings(memoryview(data))
    except InvalidTensorError:
        return
    assert bytes(pack_strings(elements)) == data


def spec(*shape: int | str, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec("x", DATATYPES[datatype], shape)


def test_free_dimensions_fit_any_size() -> None:
    tensor = from_values("x", DATATYPES["FP32"], (3, 2), [0.0] * 6)
    check(tensor, spec("batch", 2))
    check(tensor, spec("?", "?"))
    check(tensor, TensorSpec("x", DATATYPES["FP32"], None))


@pytest.mark.parametrize("expected", [spec("batch", 3), spec("batch"), spec(), spec(3, 2, datatype="FP64")])
def test_a_tensor_that_does_not_fit_is_refused_with_both_sides(expected: TensorSpec) -> None:
    tensor = from_values("x", DATATYPES["FP32"], (3, 2), [0.0] * 6)
    with pytest.raises(InvalidTensorError) as caught:
        check(tensor, expected)
    assert str(caught.value) == f'input "x": expected {expected}, got FP32 (3, 2)'


def empty(*shape: int) -> Tensor:
    return Tensor(DATATYPES["FP32"], shape, memoryview(b""))


@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (0, 0), (0, 2**40)])
@pytest.mark.parametrize("declared", [spec("batch", "width"), TensorSpec("x", DATATYPES["FP32"], None)])
def test_a_free_dimension_of_0_is_refused(declared: TensorSpec, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        check(empty(*shape), declared)
    text = f'input "x": expected {declared}, got FP32 {shape}: each free dimension must be at least 1'
    assert str(caught.value) == text


def test_a_dimension_of_0_fits_where_the_declaration_says_0() -> None:
    check(empty(0, 1), spec(0, "n"))
    check(empty(0, MAX_VALUES), spec(0, "n"))
    check(empty(0, 0), spec(0, 0))
    for shape in ((0, 0), (0, MAX_VALUES + 1), (1, 0)):
        with pytest.raises(InvalidTensorError):
            check(empty(*shape), spec(0, "n"))


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
        text = f"the answer has {count} values, expected at most {MAX_VALUES} in JSON: ask for fewer rows or outputs"
        assert str(caught.value) == f"{text}, or for binary data"


def test_a_tensor_is_not_made_into_json_beyond_the_bound() -> None:
    for convert, tensor in ((to_values, empty(1, 2**39, 0)), (to_nested, empty(MAX_VALUES // 2 + 1, 0))):
        with pytest.raises(TooLargeError, match="the answer has"):
            convert(tensor)
    assert to_nested(empty(2, 0)) == [[], []]
    assert to_values(empty(2, 0)) == []


def test_a_declaration_is_shown_with_its_shape() -> None:
    assert str(spec("batch", 4)) == "FP32 (batch, 4)"
    assert str(TensorSpec("x", DATATYPES["INT8"], None)) == "INT8 of any rank"


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_zeros_fit_their_declaration(datatype: str) -> None:
    declared = spec("batch", 3, datatype=datatype)
    tensor: Tensor = zeros(declared)
    check(tensor, declared)
    if datatype == "BYTES":
        assert unpack_strings(tensor.buffer) == [b"", b"", b""]
    else:
        assert bytes(tensor.buffer) == bytes(3 * DATATYPES[datatype].size_bytes)
