import json
import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet import v2
from onnxlet.contract.manifest import Artifact, Manifest, Provenance
from onnxlet.contract.tensors import ANY, DATATYPES, Tensor, TensorSpec, to_values
from onnxlet.errors import InvalidJsonError, InvalidRequestError, InvalidTensorError

MANIFEST = Manifest(
    model="m",
    version=12,
    inputs=(TensorSpec("x", DATATYPES["FP32"], ("batch", ANY, 4)),),
    outputs=(TensorSpec("y", DATATYPES["BYTES"], ()), TensorSpec("z", DATATYPES["INT8"], None)),
    artifacts=(Artifact("model", "fp32", "0" * 64, 1),),
    provenance=Provenance("now", "test", "id"),
)

# the example of the protocol's own document
EXAMPLE: dict[str, Any] = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]},
    ],
    "outputs": [{"name": "output0"}],
}
EXAMPLE["inputs"][1]["shape"] = [1]


def parse(document: Any) -> v2.InferRequest:
    return v2.parse_infer(json.dumps(document).encode())


def test_the_protocols_own_example_is_read() -> None:
    request = parse(EXAMPLE)
    assert (request.id, request.outputs) == ("42", ["output0"])
    assert {name: tensor.shape for name, tensor in request.inputs.items()} == {"input0": (2, 2), "input1": (1,)}
    assert to_values(request.inputs["input0"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("outputs", [{}, {"outputs": []}])
def test_no_outputs_named_means_all(outputs: dict[str, Any]) -> None:
    assert parse({"inputs": [], **outputs}).outputs is None


@pytest.mark.parametrize("shape", [None, 3, "3", [1.0], [True], [-1], [2**40], [[1]], {}])
def test_what_is_no_shape_is_refused_with_the_inputs_name(shape: Any) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": [1]}
    with pytest.raises(InvalidTensorError, match='input "x": expected a shape of sizes'):
        parse({"inputs": [tensor]})


def test_sizes_whose_product_no_machine_holds_are_refused() -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2**31] * 8, "data": [1]}
    with pytest.raises(InvalidTensorError, match=r"got 1$"):
        parse({"inputs": [tensor]})


@pytest.mark.parametrize("datatype", [None, 1, "fp32", "float32", "", [], {}])
def test_what_is_no_datatype_is_refused_with_those_that_are(datatype: Any) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [1], "data": [1]}
    with pytest.raises(InvalidTensorError, match='input "x": expected a datatype of BOOL, UINT8'):
        parse({"inputs": [tensor]})


def test_the_answer_has_the_requests_id_or_none() -> None:
    assert "id" not in v2.infer_response(MANIFEST, None, {})
    assert v2.infer_response(MANIFEST, "", {}) == {
        "model_name": "m",
        "model_version": "12",
        "id": "",
        "outputs": [],
    }


def test_what_json_has_no_number_for_becomes_null() -> None:
    buffer = memoryview(struct.pack("<4f", math.nan, math.inf, -math.inf, 0.5))
    answer = v2.infer_response(MANIFEST, None, {"y": Tensor(DATATYPES["FP32"], (4,), buffer)})
    assert json.loads(orjson.dumps(answer))["outputs"][0]["data"] == [None, None, None, 0.5]


def test_free_dimensions_are_minus_one() -> None:
    metadata = v2.model_metadata(MANIFEST)
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1, 4]}]
    assert [output["shape"] for output in metadata["outputs"]] == [[], []]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("name", "datatype", "shape", "data")


@given(st.sampled_from(["id", "inputs", "outputs", *FIELDS]), JSON)
def test_any_value_in_any_place_is_read_or_refused_but_never_crashes(field: str, value: Any) -> None:
    first, second = EXAMPLE["inputs"]
    document = {**EXAMPLE, "inputs": [{**first, field: value}, second]} if field in FIELDS else {**EXAMPLE, field: value}
    try:
        parse(document)
    except InvalidRequestError as error:
        assert len(str(error)) < 500


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_as_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        v2.parse_infer(body)


def test_an_empty_body_is_said_to_be_empty() -> None:
    with pytest.raises(InvalidJsonError, match="the body is empty"):
        v2.parse_infer(b"")
