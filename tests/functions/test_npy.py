import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from onnxlet.config import MAX_NPY_HEADER_BYTES
from onnxlet.contract.tensors import DATATYPES
from onnxlet.errors import OnnxletError
from onnxlet.npy import decode

NUMBERS = [row.numpy for row in DATATYPES.values() if row.size_bytes]


def npy(array: "np.ndarray", **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@given(st.sampled_from(NUMBERS).flatmap(lambda name: arrays(name, array_shapes(min_dims=0, max_dims=4, min_side=0))))
def test_what_numpy_saves_is_read(array: "np.ndarray") -> None:
    tensor = decode(npy(array))
    assert (tensor.datatype.numpy, tensor.shape, bytes(tensor.buffer)) == (
        array.dtype.name,
        array.shape,
        array.tobytes(),
    )


def test_a_header_of_version_2_is_read() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3), version=(2, 0))
    assert decode(file.getvalue()).shape == (3,)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.array([{"an": "object"}], dtype=object),
        np.array([1 + 2j]),
        np.array([1], ">i4"),
        np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
        np.asfortranarray(np.ones((2, 3))),
        np.array(["2026-01-01"], "datetime64[D]"),
    ],
    ids=["text", "object", "complex", "big-endian", "record", "fortran", "date"],
)
def test_an_array_in_another_form_is_refused(array: "np.ndarray") -> None:
    with pytest.raises(OnnxletError) as caught:
        decode(npy(array))
    assert caught.value.status == 422


def test_a_long_header_is_not_parsed() -> None:
    header = b"(" * (MAX_NPY_HEADER_BYTES + 100)
    with pytest.raises(OnnxletError):
        decode(b"\x93NUMPY\x02\0" + len(header).to_bytes(4, "little") + header)


@given(st.integers(0, 140), st.binary(max_size=20), st.integers(0, 20))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(position: int, inserted: bytes, removed: int) -> None:
    data = bytearray(npy(np.arange(6, dtype=np.float32).reshape(2, 3)))
    data[position : position + removed] = inserted
    try:
        decode(bytes(data))
    except OnnxletError as error:
        assert error.status < 500
