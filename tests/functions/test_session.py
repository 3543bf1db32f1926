from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from onnxlet.contract.tensors import DATATYPES, Tensor, pack_strings
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.session import Session
from tests import graphs


def session(folder: Path, proto: onnx.ModelProto) -> Session:
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return Session(str(path))


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BYTES"}))
@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_datatype_passes_unchanged(tmp_path: Path, datatype: str, count: int) -> None:
    row = DATATYPES[datatype]
    data = np.random.default_rng(0).integers(0, 2, count).astype(row.numpy).tobytes()
    (output,) = session(tmp_path, graphs.identity(row.onnx)).run({"x": Tensor(row, (count,), memoryview(data))}, ["y"])
    assert output == Tensor(row, (count,), memoryview(data))


def test_strings_pass_unchanged(tmp_path: Path) -> None:
    buffer = pack_strings([b"", b"a", "日本".encode()])
    tensor = Tensor(DATATYPES["BYTES"], (3,), buffer)
    (output,) = session(tmp_path, graphs.identity(TensorProto.STRING)).run({"x": tensor}, ["y"])
    assert output == tensor


def test_outputs_come_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    one = Tensor(DATATYPES["INT32"], (1, 2), memoryview(np.array([5, 6], np.int32).tobytes()))
    outputs = session(tmp_path, graphs.two_inputs()).run({"a": one, "b": one}, ["difference", "sum"])
    assert [np.frombuffer(output.buffer, np.int32).tolist() for output in outputs] == [[0, 0], [10, 12]]


def test_what_is_no_graph_is_refused_with_the_runtimes_version(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"onnxruntime \d+\.\d+\.\d+ cannot load the graph"):
        Session(str(path))


def test_a_failure_inside_the_graph_is_one_line(tmp_path: Path) -> None:
    nine = Tensor(DATATYPES["INT64"], (1,), memoryview((9).to_bytes(8, "little")))
    with pytest.raises(InferenceError, match=r"indices element out of data bounds") as caught:
        session(tmp_path, graphs.gather()).run({"index": nine}, ["row"])
    assert "\n" not in str(caught.value)
