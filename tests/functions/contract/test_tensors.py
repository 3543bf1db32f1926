import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.json_tensors import from_values, to_values
from onnxlet.contract.tensors import (
    BY_ONNX,
    DATATYPES,
    MAX_VALUES,
    Tensor,
    TensorSpec,
    check,
    from_bytes,
    join,
    pack_strings,
    split,
    unpack_strings,
    zeros,
)
from onnxlet.errors import InvalidTensorError

ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"])),
    **{f"INT{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}


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


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_a_tensor_may_be_empty(shape: tuple[int, ...]) -> None:
    tensor = from_values("x", DATATYPES["FP32"], shape, [])
    assert to_values(tensor) == []
    assert from_bytes("x", DATATYPES["BOOL"], shape, memoryview(b"")).shape == shape


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
