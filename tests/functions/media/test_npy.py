import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from onnxlet.contract.tensors import DATATYPES
from onnxlet.errors import OnnxletError
from onnxlet.limits import MAX_NPY_HEADER_BYTES
from onnxlet.media.npy import decode

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


def file_of(header: str, version: int = 1) -> bytes:
    """A file with this header, and six bytes of data."""
    data = header.encode("latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(data).to_bytes(2 if version == 1 else 4, "little") + data + bytes(6)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("header", "shape"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }          \n", (2, 3)),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (6,), }\n", (6,)),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", (6,)),
        ("{'shape':(3,2,),'fortran_order':False,'descr':'|u1'}", (3, 2)),
        ('{"descr": "|u1", "fortran_order": False, "shape": (1, 6)}', (1, 6)),
        ("{'descr': '|u1', 'fortran_order': True, 'shape': (6L,)}\n\n", (6,)),
        ("  {  'descr' : '|u1' , 'fortran_order' : False , 'shape' : ( 2 , 3 ) , }  ", (2, 3)),
    ],
)
def test_a_header_is_read_as_every_writer_writes_it(header: str, shape: tuple[int, ...], version: int) -> None:
    assert decode(file_of(header, version)).shape == shape


def test_a_scalar_has_an_empty_shape() -> None:
    assert decode(file_of("{'descr': '<i4', 'fortran_order': False, 'shape': ()}")[:-2]).shape == ()


LEVELS = MAX_NPY_HEADER_BYTES - 100


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': [6]}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6.0,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3 2,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'x': (6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,)} {}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,)",
        "{'descr': '|u1', 'fortran_order': False 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (6,)}",
        "{'descr': True, 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': '', 'shape': (6,)}",
        "{'descr': '', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1," * 65 + ")}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 9000 + ",)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,)}",
        *(sign * LEVELS for sign in "[({-~9*',"),
        "not " * (LEVELS // 4) + "1",
        "{1:" * (LEVELS // 3),
        "{'descr':" + "-" * 9000 + "1,'fortran_order':False,'shape':(1,)}",
        "{'a':(" + " " * 9000,
    ],
)
def test_a_malformed_header_is_a_422(header: str) -> None:
    with pytest.raises(OnnxletError) as caught:
        decode(file_of(header))
    assert caught.value.status == 422


@pytest.mark.parametrize("version", [0, 4, 255])
def test_an_unknown_version_is_a_422(version: int) -> None:
    with pytest.raises(OnnxletError, match="expected 1, 2 or 3"):
        decode(file_of("{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", version))


NESTED = """
import sys, threading
from onnxlet.media import npy
from onnxlet.errors import OnnxletError

def read():
    for sign in "[({-~+":
        header = sign.encode() * 9900
        try:
            npy.decode(b"\\x93NUMPY\\x02\\0" + len(header).to_bytes(4, "little") + header)
        except OnnxletError as error:
            print(error.status)

threading.stack_size(256 * 1024)
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


def test_a_nested_header_does_not_end_a_thread_with_a_small_stack() -> None:
    done = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["422"] * 6), done.stderr[-1000:]


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
