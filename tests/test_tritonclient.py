"""NVIDIA's own client, `tritonclient`, against both clouds' real runtimes."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from onnxlet.contract.tensors import DATATYPES
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs

NAMES = {row.name: f"identity-{row.name.lower()}" for row in DATATYPES.values()}
VALUES: dict[str, Any] = {
    "BOOL": [True, False, True],
    "BYTES": ["", "a", "日本"],
    "FP16": [0.5, -2.0, 65504.0],
    "FP32": [0.1, -3e38, 1e-30],
    "FP64": [0.1, -1e308, 5e-324],
    "INT8": [-128, 0, 127],
    "UINT64": [0, 1, 2**64 - 1],
}


@pytest.fixture(scope="module", params=["aws", "gcp"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServerClient]:
    folder: Path = tmp_path_factory.mktemp("triton")
    url = (folder / "registry").as_uri()
    candidates = [graphs.candidate(NAMES[row.name], graphs.identity(row.onnx)) for row in DATATYPES.values()]
    candidates.append(graphs.candidate("two", graphs.two_inputs()))
    publish_all(Registry(open_store(url, create=True)), candidates)
    with serve(request.param, LocalSettings(url, "two", 0), log=folder / "log") as served_at:
        client = InferenceServerClient(served_at.removeprefix("http://"))
        yield client
        client.close()


def tensor(name: str, datatype: str, values: Any, *, is_binary: bool = True) -> InferInput:
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=DATATYPES[datatype].numpy)
    found = InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=is_binary)
    return found


def a_and_b(*, is_binary: bool = True) -> list[InferInput]:
    return [
        tensor("a", "INT32", [[5, 7]], is_binary=is_binary),
        tensor("b", "INT32", [[1, 2]], is_binary=is_binary),
    ]


def test_server_and_model_are_ready(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("two")
    assert client.is_model_ready("two", "1")
    assert not client.is_model_ready("nope")


def test_metadata(client: InferenceServerClient) -> None:
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("two")
    assert [spec["name"] for spec in metadata["inputs"]] == ["a", "b"]
    assert metadata["outputs"][0] == {"name": "sum", "datatype": "INT32", "shape": [-1, 2]}


def test_configuration_statistics_and_index(client: InferenceServerClient) -> None:
    config = client.get_model_config("two", "1")
    assert [(tensor["name"], tensor["data_type"], tensor["dims"]) for tensor in config["input"]] == [
        ("a", "TYPE_INT32", [-1, 2]),
        ("b", "TYPE_INT32", [-1, 2]),
    ]
    before = _count(client)
    client.infer("two", a_and_b())
    assert _count(client) == before + 1
    index = client.get_model_repository_index()
    assert {"name": "two", "version": "1", "state": "READY", "reason": ""} in index
    assert len(index) == len(DATATYPES) + 1


def _count(client: InferenceServerClient) -> int:
    statistics = client.get_inference_statistics("two")["model_stats"]
    return sum(entry["inference_stats"]["success"]["count"] for entry in statistics)


def test_an_alias_is_a_models_name_too(client: InferenceServerClient) -> None:
    assert client.infer("two@live", a_and_b()).get_response()["model_name"] == "two"
    assert client.infer("two", a_and_b(), model_version="1").get_response()["model_version"] == "1"


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_what_is_not_a_number_arrives_as_json_too(client: InferenceServerClient, datatype: str) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.5], dtype=DATATYPES[datatype].numpy)
    inputs = [tensor("x", datatype, values, is_binary=False)]
    found = client.infer(NAMES[datatype], inputs, outputs=[InferRequestedOutput("y", binary_data=True)]).as_numpy("y")
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "json"])
def test_every_datatype_comes_back_as_it_went(client: InferenceServerClient, datatype: str, is_binary: bool) -> None:
    if datatype == "FP16" and not is_binary:
        pytest.skip("FP16 has no JSON form in the protocol")
    values = np.array(VALUES.get(datatype, [1, 2, 3]), dtype=DATATYPES[datatype].numpy)
    inputs = [tensor("x", datatype, values, is_binary=is_binary)]
    outputs = [InferRequestedOutput("y", binary_data=is_binary)]
    found = client.infer(NAMES[datatype], inputs, outputs=outputs).as_numpy("y")
    if datatype == "BYTES":
        found = np.array([value.decode() if isinstance(value, bytes) else value for value in found], dtype=object)
    np.testing.assert_array_equal(found, values)


def test_without_named_outputs_all_come_back_as_bytes(client: InferenceServerClient) -> None:
    result = client.infer("two", a_and_b())
    np.testing.assert_array_equal(result.as_numpy("sum"), [[6, 9]])
    np.testing.assert_array_equal(result.as_numpy("difference"), [[4, 5]])
    assert all("binary_data_size" in output["parameters"] for output in result.get_response()["outputs"])


def test_json_and_bytes_may_be_mixed_both_ways(client: InferenceServerClient) -> None:
    inputs = [tensor("a", "INT32", [[5, 7]]), tensor("b", "INT32", [[1, 2]], is_binary=False)]
    outputs = [InferRequestedOutput("difference", binary_data=False), InferRequestedOutput("sum", binary_data=True)]
    result = client.infer("two", inputs, outputs=outputs, request_id="7")
    np.testing.assert_array_equal(result.as_numpy("difference"), [[4, 5]])
    np.testing.assert_array_equal(result.as_numpy("sum"), [[6, 9]])
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "json"])
def test_a_request_may_be_compressed(client: InferenceServerClient, algorithm: str, is_binary: bool) -> None:
    result = client.infer(
        "two",
        a_and_b(is_binary=is_binary),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_array_equal(result.as_numpy("sum"), [[6, 9]])


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_a_large_tensor_passes(client: InferenceServerClient, algorithm: str | None) -> None:
    values = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    result = client.infer(NAMES["FP32"], [tensor("x", "FP32", values)], response_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("y"), values)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        (str(uuid.UUID(int=0)), a_and_b(), "not in the registry"),
        ("two", a_and_b()[:1], 'input "b": expected INT32 (batch, 2), got nothing'),
        ("two", [a_and_b()[0], tensor("b", "INT64", [[1, 2]])], "got INT64 (1, 2)"),
        ("two", [a_and_b()[0], tensor("b", "INT32", [[1, 2, 3]])], "got INT32 (1, 3)"),
    ],
)
def test_the_client_shows_our_errors(
    client: InferenceServerClient, model: str, inputs: list[InferInput], words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs)
    assert words in str(caught.value)


def test_the_classification_extension_is_refused(client: InferenceServerClient) -> None:
    outputs = [InferRequestedOutput("sum", class_count=1)]
    with pytest.raises(InferenceServerException, match="'classification' is not supported"):
        client.infer("two", a_and_b(), outputs=outputs)
