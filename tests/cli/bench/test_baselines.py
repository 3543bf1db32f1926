import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnxlet_cli.bench.deployment import BASELINES
from onnxlet_cli.bench.models import load_model


def test_the_limit_writes_the_output_and_waits(tmp_path: Path) -> None:
    model = load_model("tiny", tmp_path)
    inputs = [f"{name}={path}" for name, path in model.inputs.items()]
    command = [sys.executable, str(BASELINES / "limit.py"), str(model.path), *inputs]
    done = subprocess.run(command, input=b"", capture_output=True, check=True)
    model.check(np.frombuffer(done.stdout, np.float32))


@pytest.mark.parametrize("path", sorted(BASELINES.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_a_baseline_is_as_short_as_what_people_deploy(path: Path) -> None:
    source = path.read_text()
    compile(source, str(path), "exec")
    assert len(source.splitlines()) <= 40
    assert "onnxlet" not in source
