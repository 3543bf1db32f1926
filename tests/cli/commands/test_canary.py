"""`onnxlet canary` and `onnxlet shadow`."""

import json
from pathlib import Path

from tests.helpers.command import Command, fails, write_classifier


def test_a_version_gets_a_share_and_loses_it(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    for _ in range(2):
        onnxlet("publish", "shapes.onnx", "--stage")
    onnxlet("promote", "shapes", "1")
    assert onnxlet("canary", "shapes", "2", "--weight", "25%").stdout == (
        "shapes version 2 is the canary of 0.25 of the requests\n"
    )
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] == "canary 0.25"
    assert json.loads(onnxlet("shadow", "shapes", "2", "--json").stdout)["shadow"] == 1.0
    assert onnxlet("canary", "shapes", "2", "--weight", "0").stdout == "shapes has no canary any more\n"
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] == "shadow 1"
    onnxlet("promote", "shapes", "2")
    assert json.loads(onnxlet("models", "shapes", "--json").stdout)[0]["share"] is None
    fails(onnxlet("canary", "shapes", "1", "--weight", "much"), "--weight much", "10% or 0.1")
    fails(onnxlet("canary", "shapes", "1", "--weight", "150%"), "from 0 to 1")
    fails(onnxlet("canary", "shapes", "2"), "expected another version than 2")
    fails(onnxlet("canary", "shapes", "9"), "no version 9")
