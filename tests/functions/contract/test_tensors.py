import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.tensors import (
    BY_ONNX,
    DATATYPES,
    Tensor,
    TensorSpec,
    check,
    from_values,
    pack_strings,
    to_values,
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


def nest(values: list[Any], shape: tuple[int, ...]) -> Any:
    """The flat values nested as their shape says."""
    if not shape:
        return values[0]
    size = math.prod(shape[1:])
    return [nest(values[row * size : (row + 1) * size], shape[1:]) for row in range(shape[0])]


@given(st.data())
def test_values_survive_in_every_datatype_nested_or_flat(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ELEMENTS)))
    shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=3)))
    count = math.prod(shape)
    values = data.draw(st.lists(ELEMENTS[name], min_size=count, max_size=count))
    flat = from_values("x", DATATYPES[name], shape, values)
    assert flat == from_values("x", DATATYPES[name], shape, nest(values, shape))
    assert to_values(flat) == values


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


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_a_tensor_may_be_empty(shape: tuple[int, ...]) -> None:
    tensor = from_values("x", DATATYPES["FP32"], shape, [])
    assert to_values(tensor) == []


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", (2,), [1]),
        ("FP32", (2,), [1, 2, 3]),
        ("FP32", (2, 2), [[1, 2], [3]]),
        ("FP32", (2, 2), [[1, 2], 3]),
        ("FP32", (2, 2), [[1, 2, 3], [4]]),
        ("FP32", (4,), [[1, 2], [3, 4]]),
        ("FP32", (1,), [[[1]]]),
        ("FP32", (2,), ["1", "2"]),
        ("FP32", (2,), {"0": 1, "1": 2}),
        ("FP32", (1,), None),
        ("FP32", (2,), [1, None]),
        ("INT8", (1,), [128]),
        ("UINT8", (1,), [-1]),
        ("INT64", (1,), [2**63]),
        ("INT32", (1,), [1.0]),
        ("BOOL", (1,), [2]),
        ("BOOL", (1,), ["true"]),
        ("BYTES", (1,), [1]),
        ("FP16", (1,), [1.0]),
    ],
)
def test_data_that_do_not_fit_are_refused_with_the_inputs_name(
    datatype: str, shape: tuple[int, ...], data: Any
) -> None:
    with pytest.raises(InvalidTensorError, match='input "pixels"'):
        from_values("pixels", DATATYPES[datatype], shape, data)


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


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_zeros_fit_their_declaration(datatype: str) -> None:
    declared = spec("batch", 3, datatype=datatype)
    tensor: Tensor = zeros(declared)
    check(tensor, declared)
    if datatype == "BYTES":
        assert unpack_strings(tensor.buffer) == [b"", b"", b""]
    else:
        assert bytes(tensor.buffer) == bytes(3 * DATATYPES[datatype].size_bytes)
