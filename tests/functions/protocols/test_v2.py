import json
import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.artifact import Artifact
from onnxlet.contract.json_tensors import to_values
from onnxlet.contract.manifest import Manifest, Provenance
from onnxlet.contract.tensors import ANY, DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InvalidJsonError, InvalidRequestError, InvalidTensorError, OnnxletError
from onnxlet.protocols import v2
from onnxlet.record import replace

ONE = struct.pack("<2f", 1, 2)


def item(name: str = "x", **changes: Any) -> dict[str, Any]:
    size = {"binary_data_size": len(ONE)}
    return {"name": name, "datatype": "FP32", "shape": [2], "parameters": size, **changes}


def parse(document: dict[str, Any], binary: bytes = b"", length: str | None = None) -> v2.InferRequest:
    header = json.dumps(document).encode()
    return v2.parse_infer(header + binary, str(len(header)) if length is None else length)


def test_binary_tensors_follow_the_json_in_order() -> None:
    request = parse({"inputs": [item("a"), item("b")]}, ONE + struct.pack("<2f", 3, 4))
    assert {name: to_values(tensor) for name, tensor in request.inputs.items()} == {"a": [1, 2], "b": [3, 4]}


def test_binary_tensors_are_not_copied() -> None:
    header = json.dumps({"inputs": [item()]}).encode()
    body = header + ONE
    assert v2.parse_infer(body, str(len(header))).inputs["x"].buffer.obj is body


@pytest.mark.parametrize(
    ("document", "binary"),
    [
        ({"inputs": [item()]}, ONE[:-1]),
        ({"inputs": [item()]}, ONE + b"\0"),
        ({"inputs": [item(), item("b")]}, ONE),
        ({"inputs": [item(parameters={"binary_data_size": -1})]}, ONE),
        ({"inputs": [item(parameters={"binary_data_size": "8"})]}, ONE),
        ({"inputs": [item(parameters={"binary_data_size": True})]}, ONE),
        ({"inputs": [item(parameters={"binary_data_size": 2**63})]}, ONE),
        ({"inputs": [item(parameters=[])]}, ONE),
        ({"inputs": [item(shape=[3])]}, ONE),
        ({"inputs": [item(shape=[2**31, 2**31, 2**31])]}, ONE),
        ({"inputs": [item(data=[1, 2])]}, ONE),
        ({"inputs": [item(datatype="FP64")]}, ONE),
        ({"inputs": [item(datatype="BYTES")]}, ONE),
        ({"inputs": [item(datatype="BOOL", shape=[8])]}, ONE),
        ({"inputs": []}, ONE),
        ({"inputs": [item()], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, ONE),
        ({"inputs": [item()], "parameters": {"binary_data_output": "yes"}}, ONE),
        ({"inputs": [item(parameters={"shared_memory_region": "r"})]}, b""),
    ],
)
def test_what_does_not_add_up_is_a_400(document: dict[str, Any], binary: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(document, binary)
    assert caught.value.status == 400


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "99999", "9" * 100, "²"])
def test_a_header_length_that_cannot_be_is_a_400(length: str) -> None:
    with pytest.raises(InvalidRequestError, match="inference-header-content-length"):
        parse({"inputs": [item()]}, ONE, length)


@pytest.mark.parametrize(
    ("parameters", "named", "expected"),
    [
        (None, None, False),
        (True, None, True),
        (True, {}, True),
        (True, {"binary_data": False}, False),
        (False, {"binary_data": True}, True),
        (None, {}, False),
    ],
)
def test_an_output_overrides_what_the_request_says(parameters: Any, named: Any, expected: bool) -> None:
    document: dict[str, Any] = {"inputs": []}
    if parameters is not None:
        document["parameters"] = {"binary_data_output": parameters}
    if named is not None:
        document["outputs"] = [{"name": "y", "parameters": named}]
    assert parse(document).wants_binary("y", DATATYPES["FP32"]) is expected


@given(st.data())
def test_any_change_of_a_request_is_read_or_refused(data: st.DataObject) -> None:
    header = json.dumps({"inputs": [item(), item("s", datatype="BYTES", shape=[1])]}).encode()
    body = bytearray(header + ONE + struct.pack("<I", 4) + b"word")
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.sampled_from([str(len(header)), str(len(body)), "0", None]))
    try:
        request = v2.parse_infer(bytes(body), length)
    except OnnxletError as error:
        assert error.status == 400
    else:
        assert all(tensor.datatype in DATATYPES.values() for tensor in request.inputs.values())


EXAMPLE: dict[str, Any] = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [1], "datatype": "BOOL", "data": [True]},
    ],
    "outputs": [{"name": "output0"}],
}
"""The example of the protocol's own document."""


def test_the_protocols_own_example_is_read() -> None:
    request = v2.parse_infer(json.dumps(EXAMPLE).encode())
    assert (request.id, request.output_names()) == ("42", ["output0"])
    assert {name: tensor.shape for name, tensor in request.inputs.items()} == {"input0": (2, 2), "input1": (1,)}
    assert to_values(request.inputs["input0"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("outputs", [{}, {"outputs": []}])
def test_no_outputs_named_means_all(outputs: dict[str, Any]) -> None:
    assert parse({"inputs": [], **outputs}).output_names() is None


@pytest.mark.parametrize("shape", [None, 3, "3", [1.0], [True], [-1], [2**40], [[1]], {}])
def test_what_is_no_shape_is_a_400_naming_the_input(shape: Any) -> None:
    with pytest.raises(InvalidTensorError, match='input "x": expected a shape of sizes'):
        parse({"inputs": [item(shape=shape)]}, ONE)


@pytest.mark.parametrize("datatype", [None, 1, "fp32", "float32", "", [], {}])
def test_what_is_no_datatype_is_a_400_naming_those_that_are(datatype: Any) -> None:
    with pytest.raises(InvalidTensorError, match='input "x": expected a datatype of BOOL, UINT8'):
        parse({"inputs": [item(datatype=datatype)]}, ONE)


def test_an_empty_body_is_said_to_be_empty() -> None:
    with pytest.raises(InvalidJsonError, match="the body is empty"):
        v2.parse_infer(b"")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["id", "inputs", "outputs", "name", "datatype", "shape", "data", "parameters"]), ANYTHING)
def test_any_value_in_any_place_is_read_or_refused_in_a_line(field: str, value: Any) -> None:
    first, second = EXAMPLE["inputs"]
    changed = (
        {**EXAMPLE, field: value} if field in EXAMPLE else {**EXAMPLE, "inputs": [{**first, field: value}, second]}
    )
    try:
        v2.parse_infer(json.dumps(changed).encode())
    except InvalidRequestError as error:
        assert len(str(error)) < 500


MANIFEST = Manifest(
    model="m",
    version=12,
    inputs=(TensorSpec("x", DATATYPES["FP32"], ("batch", ANY, 4)),),
    outputs=(TensorSpec("y", DATATYPES["BYTES"], ()), TensorSpec("z", DATATYPES["INT8"], None)),
    artifacts=(Artifact("model", "fp32", "0" * 64, 1),),
    provenance=Provenance("now", "test", "id"),
)
ANY_REQUEST = v2.InferRequest(None, {}, (), is_binary=False)
FOUR = Tensor(DATATYPES["FP32"], (4,), memoryview(struct.pack("<4f", math.nan, math.inf, -math.inf, 0.5)))


def test_free_dimensions_are_minus_one() -> None:
    metadata = v2.model_metadata(MANIFEST)
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1, 4]}]
    assert [output["shape"] for output in metadata["outputs"]] == [[], []]


@pytest.mark.parametrize("request_id", [None, "", "7"])
def test_the_answer_has_the_requests_id_or_none(request_id: str | None) -> None:
    document, buffers = v2.infer_response(MANIFEST, replace(ANY_REQUEST, id=request_id), {})
    expected = {"model_name": "m", "model_version": "12", "outputs": []}
    assert document == (expected if request_id is None else {**expected, "id": request_id})
    assert buffers == []


def test_what_json_has_no_number_for_is_null_in_json_and_exact_in_bytes() -> None:
    outputs = (v2.Output("y", is_binary=True), v2.Output("z", is_binary=False))
    document, buffers = v2.infer_response(MANIFEST, replace(ANY_REQUEST, outputs=outputs), {"y": FOUR, "z": FOUR})
    binary, plain = json.loads(orjson.dumps(document))["outputs"]
    assert binary == {"name": "y", "datatype": "FP32", "shape": [4], "parameters": {"binary_data_size": 16}}
    assert plain == {"name": "z", "datatype": "FP32", "shape": [4], "data": [None, None, None, 0.5]}
    assert [bytes(buffer) for buffer in buffers] == [bytes(FOUR.buffer)]


INPUT = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
NESTED = json.loads("[" * 900 + "]" * 900)


class TestNull:
    """`null` is as good as absent: MLServer's and KServe's own classes write every optional field."""

    @pytest.mark.parametrize(
        "changed",
        [
            {"id": None},
            {"parameters": None},
            {"parameters": {"binary_data_output": None, "classification": None, "anything": None}},
            {"outputs": None},
            {"inputs": [{**INPUT, "parameters": None}]},
            {"inputs": [{**INPUT, "parameters": {"binary_data_size": None, "shared_memory_region": None}}]},
            {"model_name": None, "model_version": None},
        ],
    )
    def test_an_optional_field_may_be_null(self, changed: dict[str, Any]) -> None:
        request = v2.parse_infer(json.dumps({"inputs": [INPUT], **changed}).encode())
        assert (request.id, request.outputs, request.is_binary) == (None, (), False)
        assert request.inputs["x"].shape == (2,)

    def test_an_output_may_have_parameters_that_are_null(self) -> None:
        outputs = [{"name": "a", "parameters": None}, {"name": "b", "parameters": {"binary_data": None}}]
        document = {"inputs": [INPUT], "outputs": outputs, "parameters": {"binary_data_output": True}}
        request = v2.parse_infer(json.dumps(document).encode())
        assert [(output.name, output.is_binary) for output in request.outputs] == [("a", True), ("b", True)]

    def test_binary_data_may_have_data_that_are_null(self) -> None:
        item = {**INPUT, "data": None, "parameters": {"binary_data_size": 8}}
        document = json.dumps({"inputs": [item]}).encode()
        assert v2.parse_infer(document + bytes(8), str(len(document))).inputs["x"].buffer == bytes(8)

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ({"inputs": None}, "inputs: expected a list of objects, got null"),
            ({"inputs": [None]}, "inputs: expected a list of objects, got null in it"),
            ({"inputs": [{**INPUT, "data": None}]}, "expected data or binary_data_size"),
            ({"inputs": [{**INPUT, "shape": None}]}, "expected a shape of sizes, got null"),
            ({"inputs": [{**INPUT, "datatype": None}]}, "got null"),
            ({"inputs": [{**INPUT, "name": None}]}, "got null"),
            ({"inputs": [], "parameters": []}, "parameters: expected an object, got list"),
            ({"inputs": [], "id": {}}, "got object"),
            ({"inputs": [], "id": True}, "got true"),
            ({"inputs": [{**INPUT, "shape": [1, None, {}]}]}, "got [1, null, object]"),
            ({"inputs": [{**INPUT, "shape": NESTED}]}, "got [list]"),
            ({"inputs": [{**INPUT, "shape": ["a"] * 99}]}, "got ['a', 'a', "),
        ],
    )
    def test_a_field_that_is_needed_may_not(self, document: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            v2.parse_infer(json.dumps(document).encode())
        assert words in str(caught.value)
