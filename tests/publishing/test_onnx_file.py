from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.manifest import MAX_DIMENSION_NAME
from onnxlet.contract.tensors import ANY
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.onnx_file import read_onnx

WEIGHTS = np.arange(4096, dtype=np.float32).reshape(64, 64)


def linear_model(last: str = "Identity") -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node(last, ["h"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 64])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def value(name: str, type_proto: onnx.TypeProto) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, type_proto)


def identity_model(inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Identity", [source.name], [target.name])
        for source, target in zip(inputs, outputs, strict=True)
    ]
    graph = helper.make_graph(nodes, "identity", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def test_a_files_own_bytes_are_kept(tmp_path: Path) -> None:
    path = save(linear_model(), tmp_path / "m.onnx")
    found = read_onnx(path)
    assert found.data == path.read_bytes()
    assert str(found.inputs[0]) == "FP32 (batch, 64)"
    assert found.outputs[0].shape == (ANY, 64)


def test_external_data_are_inlined(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save_model(linear_model(), path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    found = read_onnx(path)
    (tmp_path / "m.onnx.data").unlink()
    (initializer,) = onnx.load_from_string(found.data).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(initializer), WEIGHTS)


def test_missing_external_data_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save_model(linear_model(), path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"m\.onnx\.data"):
        read_onnx(path)


@pytest.mark.parametrize("data", [b"", b"hello, I am no model", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_onnx(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(linear_model().SerializeToString()[:-5000])
    with pytest.raises(ModelError, match="truncated"):
        read_onnx(path)


def test_a_datatype_that_v2_does_not_carry_is_refused(tmp_path: Path) -> None:
    bfloat16 = helper.make_tensor_type_proto(TensorProto.BFLOAT16, [1])
    model = identity_model([value("x", bfloat16)], [value("y", bfloat16)])
    with pytest.raises(ModelError, match='input "x": expected a datatype of the V2 protocol, got BFLOAT16'):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_an_output_that_is_no_tensor_is_left_out(tmp_path: Path) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    sequence = helper.make_sequence_type_proto(tensor)
    model = linear_model()
    model.graph.node.append(helper.make_node("SequenceConstruct", ["h"], ["all"]))
    model.graph.output.append(value("all", sequence))
    found = read_onnx(save(model, tmp_path / "m.onnx"))
    assert [spec.name for spec in found.outputs] == ["y"]
    assert found.left_out == ("all",)


def test_an_input_without_a_shape_may_have_any_rank(tmp_path: Path) -> None:
    shapeless = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model = identity_model([value("x", shapeless)], [value("y", shapeless)])
    assert read_onnx(save(model, tmp_path / "m.onnx")).inputs[0].shape is None


def test_what_makes_an_output_is_found_behind_what_only_passes_it_on(tmp_path: Path) -> None:
    model = linear_model("Softmax")
    model.graph.node[1].output[0] = "s"
    model.graph.node.append(helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT))
    assert read_onnx(save(model, tmp_path / "m.onnx")).made_by == {"y": "Softmax"}


def named(*names: str) -> onnx.ModelProto:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, list(names))
    return identity_model([value("x", tensor)], [value("y", tensor)])


def test_dimension_names_of_any_length_are_taken(tmp_path: Path) -> None:
    long = "(floor(height/2 - 1/2) + 1)*(floor(width/2 - 1/2) + 1)" * 20
    found = read_onnx(save(named("batch", long, long + "x", "ä" * 300), tmp_path / "m.onnx"))
    shape = found.inputs[0].shape
    assert shape is not None
    assert shape == found.outputs[0].shape
    assert len(set(shape)) == 4
    assert shape[0] == "batch"
    assert str(shape[1]).startswith("(floor(height/2 - 1/2) + 1)*(floor(width...")
    assert all(len(str(name)) < 64 for name in shape)
    again = read_onnx(save(named(long), tmp_path / "other.onnx"))
    assert again.inputs[0].shape == (shape[1],)


def test_a_dimension_name_that_a_manifest_can_hold_stays(tmp_path: Path) -> None:
    for length, stays in ((MAX_DIMENSION_NAME, True), (MAX_DIMENSION_NAME + 1, False)):
        found = read_onnx(save(named("x" * length), tmp_path / "m.onnx"))
        assert (found.inputs[0].shape == ("x" * length,)) is stays


def test_a_model_of_sequences_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    model = linear_model()
    model.graph.node.append(helper.make_node("SequenceConstruct", ["h"], ["all"]))
    model.graph.output[0].CopyFrom(value("all", sequence))
    with pytest.raises(ModelError, match="got 'all': export it with its values as tensors"):
        read_onnx(save(model, tmp_path / "m.onnx"))
