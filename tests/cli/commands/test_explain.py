"""`onnxlet explain`."""

import json
from pathlib import Path

from PIL import Image

from tests.helpers.command import Command, fails, write_classifier


def test_an_image_and_a_row_are_explained(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    (tmp_path / "labels.txt").write_text("circle\nsquare\n")
    (tmp_path / "preprocess.json").write_text('{"height": 4, "width": 4, "channels": 1}')
    Image.new("L", (10, 12), 200).save(tmp_path / "grey.png")
    (tmp_path / "row.json").write_text(json.dumps({"x": [[[0.5]] * 4] * 4}))
    onnxlet("publish", "shapes.onnx", "--labels", "labels.txt", "--preprocess", "preprocess.json")
    onnxlet("publish", "shapes.onnx", "--name", "rows", "--labels", "labels.txt")
    told = onnxlet("explain", "shapes", "grey.png", "--budget-runs", "21").stdout.splitlines()
    assert told[0].startswith("shapes version 1: ")
    assert told[1:2] == ["Orange supports the label, blue opposes it: grey.explained.png"]
    assert told[2].startswith("21 runs, ")
    assert Image.open(tmp_path / "grey.explained.png").size == (190, 228)
    answer = json.loads(
        onnxlet("explain", "shapes", "grey.png", "--target", "circle", "--out", "o.png", "--json").stdout
    )
    assert (answer["label"], answer["map"]["shape"]) == ("circle", [4, 4])
    assert (tmp_path / "o.png").exists()
    table = onnxlet("explain", "rows", "row.json").stdout
    assert table.splitlines()[1].split() == ["number", "value", "contribution"]
    assert "x[3, 3, 0]" in table
    fails(onnxlet("explain", "shapes", "grey.png", "--target", "star"), "target: expected one of circle, square")
