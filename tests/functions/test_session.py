from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from onnxlet import session
from onnxlet.contract.tensors import DATATYPES, MAX_STRINGS, Tensor, pack_strings
from onnxlet.errors import ArtifactError, InferenceError, TooLargeError
from onnxlet.limits import memory
from onnxlet.session import library, native, python
from tests.helpers import graphs
from tests.helpers.wheel import without_library

if TYPE_CHECKING:
    from onnxlet.session import Session

    Load = Callable[[onnx.ModelProto], Session]

ENGINES = {"native": native, "python": python}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> ModuleType:
    return ENGINES[request.param]


@pytest.fixture
def load(engine: ModuleType) -> Load:
    def load(proto: onnx.ModelProto) -> Session:
        found: Session = engine.Session(proto.SerializeToString())
        return found

    return load


def test_the_wheels_own_library_is_found_and_used() -> None:
    path = library.find()
    assert path is not None
    assert Path(path).is_file()
    assert session.engine() is native
    assert native.runtime().api.version == ort.__version__


def test_where_the_library_is_missing_the_python_package_is_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(graphs.classifier(), path)
    packages = without_library(tmp_path / "packages")
    program = """
import sys
from onnxlet import session
session.open_session(open(sys.argv[1], "rb").read())
print(session.engine().__name__)
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert (found.stdout, found.stderr) == ("onnxlet.session.python\n", "")


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BYTES"}))
@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_datatype_passes_unchanged(load: Load, datatype: str, count: int) -> None:
    row = DATATYPES[datatype]
    data = np.random.default_rng(0).integers(0, 2, count).astype(row.numpy).tobytes()
    (output,) = load(graphs.identity(row.onnx)).run({"x": Tensor(row, (count,), memoryview(data))}, ["y"])
    assert output == Tensor(row, (count,), memoryview(data))


@pytest.mark.parametrize("elements", [[], [b""], [b"", b"a", "日本".encode()], [b"a\0b", b"", b"c" * 1000]])
def test_strings_pass_unchanged(load: Load, elements: list[bytes]) -> None:
    tensor = Tensor(DATATYPES["BYTES"], (len(elements),), pack_strings(elements))
    (output,) = load(graphs.identity(TensorProto.STRING)).run({"x": tensor}, ["y"])
    assert output == tensor


def test_many_strings_take_time_by_their_number_and_not_by_its_square(load: Load) -> None:
    """In CPU time, with room for a hundred slower machines: to copy all strings for each of them took 50 s here."""
    elements = [b"x" * 500] * 20_000
    tensor = Tensor(DATATYPES["BYTES"], (len(elements),), pack_strings(elements))
    started_s = time.process_time()
    (output,) = load(graphs.identity(TensorProto.STRING)).run({"x": tensor}, ["y"])
    assert output.buffer == tensor.buffer
    assert time.process_time() - started_s < 20


def test_more_strings_than_the_bound_are_not_given_out(load: Load) -> None:
    """A model may make millions of strings of one."""
    node = helper.make_node("StringSplit", ["x"], ["y", "n"], delimiter=" ")
    inputs = [helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.STRING, ["n", "m"]),
        helper.make_tensor_value_info("n", TensorProto.INT64, ["n"]),
    ]
    graph = helper.make_graph([node], "split", inputs, outputs)
    session = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    for count, is_refused in ((5, False), (MAX_STRINGS + 1, True)):
        tensor = Tensor(DATATYPES["BYTES"], (1,), pack_strings([b"a " * (count - 1) + b"a"]))
        if is_refused:
            with pytest.raises(TooLargeError, match=f"an output has {count} strings, expected at most {MAX_STRINGS}"):
                session.run({"x": tensor}, ["y"])
        else:
            assert session.run({"x": tensor}, ["y"])[0].shape == (1, count)


def test_outputs_come_in_the_order_that_was_asked_for(load: Load) -> None:
    one = Tensor(DATATYPES["INT32"], (1, 2), memoryview(np.array([5, 6], np.int32).tobytes()))
    outputs = load(graphs.two_inputs()).run({"a": one, "b": one}, ["difference", "sum"])
    assert [np.frombuffer(output.buffer, np.int32).tolist() for output in outputs] == [[0, 0], [10, 12]]


@pytest.mark.parametrize("offset", range(0, 20, 3))
def test_bytes_that_begin_anywhere_give_the_same_answer(load: Load, offset: int) -> None:
    data = np.arange(5, dtype=np.float64).tobytes()
    shifted = memoryview(b"?" * offset + data)[offset:]
    (output,) = load(graphs.identity(TensorProto.DOUBLE)).run({"x": Tensor(DATATYPES["FP64"], (5,), shifted)}, ["y"])
    assert bytes(output.buffer) == data


def test_an_output_outlives_its_session_and_its_inputs(load: Load) -> None:
    data = np.arange(1000, dtype=np.float32).tobytes()
    (output,) = load(graphs.identity(TensorProto.FLOAT)).run(
        {"x": Tensor(DATATYPES["FP32"], (1000,), memoryview(bytes(data)))}, ["y"]
    )
    gc.collect()
    assert bytes(output.buffer) == data


def test_nothing_is_kept_of_what_a_run_made(load: Load) -> None:
    loaded = load(graphs.identity(TensorProto.FLOAT))
    count = 250_000
    tensor = Tensor(DATATYPES["FP32"], (count,), memoryview(bytes(4 * count)))
    for _ in range(5):
        loaded.run({"x": tensor}, ["y"])
    before_bytes = memory.resident_bytes()
    for _ in range(100):
        loaded.run({"x": tensor}, ["y"])
    assert memory.resident_bytes() - before_bytes < 20 * 4 * count  # a leak would be 100 of them


@pytest.mark.parametrize("is_ort", [False, True])
@pytest.mark.parametrize("data", [b"", b"nothing", bytes(100_000)])
def test_what_is_no_graph_is_refused_with_the_runtimes_version(engine: ModuleType, data: bytes, is_ort: bool) -> None:
    with pytest.raises(ArtifactError, match=r"onnxruntime \d+\.\d+\.\d+ cannot load the graph"):
        engine.Session(data, is_ort=is_ort)


def test_a_failure_inside_the_graph_is_one_line(load: Load) -> None:
    nine = Tensor(DATATYPES["INT64"], (1,), memoryview((9).to_bytes(8, "little")))
    with pytest.raises(InferenceError, match=r"indices element out of data bounds") as caught:
        load(graphs.gather()).run({"index": nine}, ["row"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 2), (5,), ()])
def test_a_shape_that_the_bytes_do_not_fill_is_an_error(load: Load, shape: tuple[int, ...]) -> None:
    four_bytes = memoryview(bytes(4 if shape else 0))
    with pytest.raises(InferenceError):
        load(graphs.identity(TensorProto.FLOAT)).run({"x": Tensor(DATATYPES["FP32"], shape, four_bytes)}, ["y"])


def test_an_unknown_input_or_output_is_an_error(load: Load) -> None:
    one = Tensor(DATATYPES["FP32"], (1,), memoryview(bytes(4)))
    loaded = load(graphs.identity(TensorProto.FLOAT))
    with pytest.raises(InferenceError):
        loaded.run({"nobody": one}, ["y"])
    with pytest.raises(InferenceError):
        loaded.run({"x": one}, ["nobody"])


def test_an_output_that_is_no_tensor_is_an_error(load: Load) -> None:
    one = Tensor(DATATYPES["FP32"], (1,), memoryview(bytes(4)))
    with pytest.raises(InferenceError):
        load(graphs.sequence_of_one()).run({"x": one}, ["y"])


def test_threads_share_a_session(load: Load) -> None:
    loaded = load(graphs.identity(TensorProto.INT64))
    wrong: list[int] = []

    def ask(number: int) -> None:
        tensor = Tensor(DATATYPES["INT64"], (500,), memoryview(np.full(500, number).tobytes()))
        for _ in range(200):
            (output,) = loaded.run({"x": tensor}, ["y"])
            if bytes(output.buffer) != bytes(tensor.buffer):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_runtimes_own_format_outlives_the_bytes_that_it_was_given(engine: ModuleType, tmp_path: Path) -> None:
    data = bytearray(to_ort(graphs.classifier(), tmp_path))
    loaded = engine.Session(memoryview(bytes(data)), is_ort=True)
    gc.collect()
    random = np.random.default_rng(0).random((4, graphs.SIDE_PIXELS, graphs.SIDE_PIXELS, 1), np.float32)
    tensor = Tensor(DATATYPES["FP32"], random.shape, memoryview(random.tobytes()))
    (expected,) = engine.Session(graphs.classifier().SerializeToString()).run({"input": tensor}, ["output"])
    (found,) = loaded.run({"input": tensor}, ["output"])
    np.testing.assert_allclose(np.frombuffer(found.buffer, "f4"), np.frombuffer(expected.buffer, "f4"), rtol=1e-5)


def to_ort(proto: onnx.ModelProto, folder: Path) -> bytes:
    source, path = folder / "model.onnx", folder / "model.ort"
    onnx.save(proto, source)
    settings = ort.SessionOptions()
    settings.optimized_model_filepath = str(path)
    settings.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(source), settings, providers=["CPUExecutionProvider"])
    return path.read_bytes()
