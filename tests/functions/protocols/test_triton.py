import uuid

from onnx import TensorProto

from onnxlet.contract.manifest import Manifest
from onnxlet.protocols import triton
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def manifest(tensor_type: int) -> Manifest:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    return publish(registry, graphs.candidate("same", graphs.identity(tensor_type)))


def test_a_free_dimension_is_minus_one_in_the_configuration() -> None:
    config = triton.model_config(manifest(TensorProto.FLOAT))
    assert (config["name"], config["max_batch_size"]) == ("same", 0)
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}]
    assert config["parameters"] == {"version": {"string_value": "1"}}


def test_texts_have_the_name_that_triton_has_for_them() -> None:
    assert triton.model_config(manifest(TensorProto.STRING))["output"][0]["data_type"] == "TYPE_STRING"


def test_the_index_has_every_version_of_every_model() -> None:
    index = triton.repository_index({"ant": [1, 2], "bee": [7]})
    assert [(item["name"], item["version"], item["state"]) for item in index] == [
        ("ant", "1", "READY"),
        ("ant", "2", "READY"),
        ("bee", "7", "READY"),
    ]
