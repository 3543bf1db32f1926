import math
import struct
from typing import Any

import orjson
import pytest

from onnxlet.contract.golden import Golden
from onnxlet.contract.tensors import DATATYPES, Tensor, from_bytes, from_values
from onnxlet.errors import ManifestError


def floats(*values: float) -> Tensor:
    data = struct.pack(f"<{len(values)}f", *values)
    return from_bytes("x", DATATYPES["FP32"], (len(values),), memoryview(data))


TEXT = from_values("x", DATATYPES["BYTES"], (2,), ["a", "日本"])
GOLDEN = Golden({"x": floats(1.5, -2)}, {"y": TEXT, "z": floats()})


def test_it_survives_being_written_and_read() -> None:
    assert Golden.from_json(GOLDEN.to_json(), "golden") == GOLDEN


NAN = math.nan
INFINITY = math.inf


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ((1.5, -2.0), (1.5, -2.0), 0.0),
        ((0.5, 0.25), (0.25, 0.25), 0.25),
        ((8.0, -8.0), (10.0, -10.0), 0.2),
        ((-0.0,), (0.0,), 0.0),
        ((NAN, 1.0), (NAN, 1.5), 0.5 / 1.5),
        ((INFINITY, 1.0), (INFINITY, 1.5), 0.5 / 1.5),
        ((1.0,), (NAN,), INFINITY),
        ((NAN,), (1.0,), INFINITY),
        ((1.0,), (INFINITY,), INFINITY),
        ((INFINITY,), (1.0,), INFINITY),
        ((-INFINITY,), (INFINITY,), INFINITY),
        ((1.0,), (1.0, 1.0), INFINITY),
    ],
)
def test_the_largest_difference_counts_relative_where_numbers_are_large(
    found: tuple[float, ...], expected: tuple[float, ...], difference: float
) -> None:
    golden = Golden({}, {"y": floats(*expected), "z": floats(1)})
    assert golden.difference({"y": floats(*found), "z": floats(1)}) == pytest.approx(difference)


def test_other_texts_and_other_datatypes_are_infinitely_far() -> None:
    golden = Golden({}, {"y": TEXT})
    assert golden.difference({"y": TEXT}) == 0.0
    assert golden.difference({"y": from_values("x", DATATYPES["BYTES"], (2,), ["a", "b"])}) == INFINITY
    assert Golden({}, {"y": floats(0)}).difference({"y": from_values("x", DATATYPES["INT32"], (1,), [0])}) == INFINITY


def test_without_outputs_nothing_differs() -> None:
    assert Golden({}, {}).difference({}) == 0.0


def item(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": "AAAAAA==", **changes}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "golden.schema: expected 1"),
        ({"inputs": 1}, "golden.inputs: expected a list, got 1"),
        ({"inputs": [{"name": "x"}]}, "golden.inputs[0]: the field 'datatype' is missing"),
        (item(datatype="FP31"), "golden.inputs[0].datatype: expected one of"),
        (item(shape=[-1]), "golden.inputs[0].shape: expected sizes, got [-1]"),
        (item(shape=["1"]), "golden.inputs[0].shape: expected sizes, got ['1']"),
        (item(shape=[True]), "golden.inputs[0].shape: expected sizes, got [True]"),
        (item(shape=[2]), 'golden.inputs[0].data: expected the tensor as base64: input "x": expected 8 bytes'),
        (item(data="AAAAA="), "golden.inputs[0].data: expected the tensor as base64: "),
        (item(data="AA!AAAA=="), "golden.inputs[0].data: expected the tensor as base64"),
        (item(data="ÄAAAAA=="), "golden.inputs[0].data: expected the tensor as base64"),
        (item(data=1), "golden.inputs[0].data: expected a string"),
    ],
)
def test_what_breaks_the_contract_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Golden.from_json(orjson.dumps({**orjson.loads(GOLDEN.to_json()), **changes}), "golden")
    assert words in str(caught.value)


def test_a_tensor_of_no_elements_is_read() -> None:
    document = orjson.dumps({**orjson.loads(GOLDEN.to_json()), **item(shape=[0], data="")})
    assert Golden.from_json(document, "golden").inputs["x"].shape == (0,)
