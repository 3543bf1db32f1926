"""The command in a process of its own, and in this one."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlet_cli.main import app

Command = Callable[..., subprocess.CompletedProcess[str]]


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one line that holds these words."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def write_classifier(path: Path, op_type: str = "MatMul") -> Path:
    weights = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node(op_type, ["flat", "w"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 4, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@dataclass(frozen=True)
class Said:
    code: int
    output: str
    error: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(json.loads(self.output))


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run the command in this process, which takes less time than another one."""
    capsys.readouterr()
    code = app(list(arguments), standalone_mode=False)
    found = capsys.readouterr()
    return Said(int(code or 0), found.out, " ".join(found.err.split()))
