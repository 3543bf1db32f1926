"""External data: wherever a tensor is, and whatever links lead to its file, its bytes end up in the model."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.tensors import from_bytes
from onnxlet.session import open_session
from onnxlet_publishing import external_data
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_walk import all_tensors
from onnxlet_publishing.onnx_file import read_onnx
from tests.helpers import graphs

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
ROW = np.array([[1, 2, 3, 4]], np.float32)
PLACES = ("initializer", "constant", "subgraph", "function")
node = helper.make_node


def outside(location: str, **more: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(place: str, tensor: TensorProto) -> onnx.ModelProto:
    """x @ w, where w is in the graph, an attribute, a branch or a function."""
    product, constant = node("MatMul", ["x", "w"], ["y"]), node("Constant", [], ["w"], value=tensor)
    nodes = {"initializer": [product], "constant": [constant, product]}.get(place, [])
    if place == "subgraph":
        ends = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        branch = helper.make_graph([product], "branch", [], ends, [tensor])
        nodes = [node("If", ["is"], ["y"], then_branch=branch, else_branch=branch)]
    if place == "function":
        nodes = [node("f", ["x"], ["y"], domain="pkg")]
    proto = graphs.model(
        nodes, [("x", TensorProto.FLOAT, ["b", 4])], [("y", TensorProto.FLOAT, ["b", 3])], {"is": np.array(True)}
    )
    if place == "initializer":
        proto.graph.initializer.append(tensor)
    if place == "function":
        opset = helper.make_opsetid("", 18)
        proto.functions.append(helper.make_function("pkg", "f", ["x"], ["y"], [constant, product], [opset]))
        proto.opset_import.append(helper.make_opsetid("pkg", 1))
    return proto


def write(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def answers(path: Path) -> bool:
    """Whether the model that is read gives x @ w, all by itself."""
    session = open_session(read_onnx(path).data)
    spec = read_onnx(path).inputs[0]
    (found,) = session.run({"x": from_bytes("x", spec.datatype, (1, 4), memoryview(ROW.tobytes()))}, ["y"])
    return bool(np.array_equal(np.frombuffer(found.buffer, np.float32), (ROW @ WEIGHTS)[0]))


@pytest.mark.parametrize("place", PLACES)
def test_data_are_read_wherever_the_tensor_is(tmp_path: Path, place: str) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.bin").write_bytes(b"before" + WEIGHTS.tobytes() + b"after")
    assert answers(write(tmp_path, model(place, outside("weights/w.bin", offset="6", length="48"))))
    assert answers(write(tmp_path, model(place, outside("./weights/w.bin", offset="6"))))


@pytest.mark.parametrize("place", PLACES)
def test_missing_data_are_named_with_their_path(tmp_path: Path, place: str) -> None:
    with pytest.raises(ModelError, match=r'tensor "w": .*weights/w\.bin, which is missing'):
        read_onnx(write(tmp_path, model(place, outside("weights/w.bin"))))


def test_hugging_faces_cache_is_read(tmp_path: Path) -> None:
    """snapshots/REVISION/onnx/model.onnx and its data are links to files in blobs, named by their digests."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/abc/onnx"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "1").write_bytes(model("initializer", outside("model.onnx_data")).SerializeToString())
    (blobs / "2").write_bytes(WEIGHTS.tobytes())
    (snapshot / "model.onnx").symlink_to("../../../blobs/1")
    (snapshot / "model.onnx_data").symlink_to("../../../blobs/2")
    assert answers(snapshot / "model.onnx")


def test_hard_links_and_a_link_to_the_model_alone_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    os.link(tmp_path / "w.bin", tmp_path / "hard.bin")
    path = write(tmp_path, model("initializer", outside("hard.bin")))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "m.onnx").symlink_to(path)
    assert answers(path)
    assert answers(elsewhere / "m.onnx")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["../w.bin", "a/../../w.bin", "a/../w.bin", "{}/w.bin", "/proc/self/environ", "", ".", "w\0.bin", "..", "/"],
)
def test_a_location_outside_of_the_models_folder_is_refused(tmp_path: Path, place: str, location: str) -> None:
    folder = tmp_path / "models"
    (folder / "a").mkdir(parents=True)
    for each in (tmp_path, folder):
        (each / "w.bin").write_bytes(WEIGHTS.tobytes())
    path = write(folder, model(place, outside(location.format(tmp_path))))
    with pytest.raises(ModelError, match=r'tensor "w": external data: expected a path below the model.s folder'):
        read_onnx(path)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "*/_ORT_MEM_ADDR_/*", "folder", "queue"])
def test_what_is_not_a_file_is_missing(tmp_path: Path, location: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "queue")
    with pytest.raises(ModelError, match="which is missing"):
        read_onnx(write(tmp_path, model("initializer", outside(location))))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"length": "47"}, "expected 48 bytes of external data for its shape, got 47"),
        ({"length": "49"}, "expected 48 bytes of external data for its shape, got 49"),
        ({"offset": "1"}, "expected 48 bytes of external data in .*w.bin, got 47"),
        ({"offset": "99999"}, "in .*w.bin, got 0"),
        ({"offset": "-1"}, "offset of its external data: expected a number, got '-1'"),
        ({"length": "9" * 30}, "length of its external data: expected a number"),
        ({"length": "x"}, "expected a number, got 'x'"),
    ],
)
def test_data_of_another_size_are_refused(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ModelError, match=words):
        read_onnx(write(tmp_path, model("initializer", outside("w.bin", **entries))))


def test_more_than_a_file_can_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(external_data.MAX_BYTES + 1)  # of zeros that take no room
    tensor = outside("w.bin")
    tensor.dims[:] = [external_data.MAX_BYTES // 4 + 1]
    with pytest.raises(ModelError, match="too large for one file of 2 GiB"):
        read_onnx(write(tmp_path, model("initializer", tensor)))


def test_packed_values_take_their_bits(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    tensor = outside("w.bin")
    tensor.data_type, tensor.dims[:] = TensorProto.INT4, [15]
    proto = model("initializer", tensor)
    assert external_data.inline(proto, tmp_path / "m.onnx")
    assert len(proto.graph.initializer[1].raw_data) == 8


def test_every_kind_of_place_is_walked_through() -> None:
    """Tensors of sparse initializers, of attributes of all kinds, and of a function's defaults."""
    names = iter("abcdefghijkl")

    def tensor() -> TensorProto:
        return numpy_helper.from_array(np.zeros(1, np.float32), next(names))

    def sparse() -> onnx.SparseTensorProto:
        return onnx.SparseTensorProto(values=tensor(), indices=tensor(), dims=[1])

    each = node("Mystery", [], ["m"])
    each.attribute.add(name="t").t.CopyFrom(tensor())
    each.attribute.add(name="ts").tensors.append(tensor())
    each.attribute.add(name="s").sparse_tensor.CopyFrom(sparse())
    each.attribute.add(name="ss").sparse_tensors.append(sparse())
    inner = helper.make_graph([], "inner", [], [], [tensor()])
    each.attribute.add(name="gs").graphs.append(inner)
    proto = graphs.model([each], [("x", TensorProto.FLOAT, [1])], [])
    proto.graph.sparse_initializer.append(sparse())
    function = proto.functions.add(name="f")
    function.attribute_proto.add(name="default").t.CopyFrom(tensor())
    assert sorted(found.name for found in all_tensors(proto)) == list("abcdefghij")
