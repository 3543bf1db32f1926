from typing import Any

import orjson
import pytest

from onnxlet.contract.golden import Golden
from onnxlet.contract.tensors import DATATYPES, Tensor, from_values
from onnxlet.errors import ManifestError


def floats(*values: float) -> Tensor:
    return from_values("x", DATATYPES["FP32"], (len(values),), list(values))


TEXT = from_values("x", DATATYPES["BYTES"], (2,), ["a", "日本"])
GOLDEN = Golden({"x": floats(1.5, -2)}, {"y": TEXT, "z": floats()})


def test_it_survives_being_written_and_read() -> None:
    assert Golden.from_json(GOLDEN.to_json(), "golden") == GOLDEN


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"inputs": 1},
        {"inputs": [{"name": "x"}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": "AAAA"}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": ""}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": "no base64!"}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": 1}]},
        {"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": "AAAA"}]},
    ],
)
def test_what_breaks_the_contract_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="golden"):
        Golden.from_json(orjson.dumps({**orjson.loads(GOLDEN.to_json()), **changes}), "golden")
