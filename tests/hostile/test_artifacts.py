"""Damaged artifacts: none is served, and what ONNX Runtime makes of one that got through is no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import graphs
from training.optimize import Graph, optimize

ARTIFACTS = 200

LOADER = """
import random, sys
from pathlib import Path
from onnxlet import session
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, InferenceError
from tests.graphs import SIDE_PIXELS as SIDE
from tests.hostile.mutation import mutate

data, is_ort = Path(sys.argv[1]).read_bytes(), sys.argv[2] == "ort"
chance = random.Random(sys.argv[2])
tensor = Tensor(DATATYPES["FP32"], (1, SIDE, SIDE, 1), memoryview(bytes(4 * SIDE * SIDE)))
for number in range(int(sys.argv[3])):
    try:
        session.open_session(mutate(data, chance), is_ort=is_ort).run({"input": tensor}, ["output"])
    except (ArtifactError, InferenceError):
        print("error")
    else:
        print("answer")
"""


@pytest.mark.parametrize("form", ["onnx", "ort"])
def test_a_damaged_artifact_that_the_registry_would_let_through_is_an_error(form: str, tmp_path: Path) -> None:
    """The SHA-256 of a manifest keeps damaged bytes from ONNX Runtime; this is what it does with them all the same."""
    graph = Graph("model", "fp32", graphs.classifier().SerializeToString())
    path = tmp_path / "graph"
    path.write_bytes(graph.data if form == "onnx" else optimize(graph, None)[0].data)
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(path), form, str(ARTIFACTS // 2)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("\n") == ARTIFACTS // 2
    assert done.stdout.count("error") > ARTIFACTS // 10
