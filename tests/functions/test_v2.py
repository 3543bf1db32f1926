import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet import v2
from onnxlet.contract.tensors import DATATYPES, to_values
from onnxlet.errors import InvalidRequestError, OnnxletError

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
    assert parse(document).wants_binary("y") is expected


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
