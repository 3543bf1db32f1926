from pathlib import Path

import numpy as np
import pytest

from onnxlet_cli.bench.deployment import BASELINES, SITE_PACKAGES
from onnxlet_cli.bench.models import load_model
from onnxlet_cli.bench.worker import Worker, python_path
from onnxlet_cli.errors import FreshProcessError


def test_a_worker_times_as_many_calls_as_it_is_asked_for(tmp_path: Path) -> None:
    model = load_model("tiny", tmp_path)
    with Worker("tiny", model.path.parent, python_path([BASELINES, SITE_PACKAGES])) as worker:
        assert len(worker.measure("run", 3)) == 3
        assert all(seconds > 0 for seconds in worker.measure("run", 5))


def test_a_wrong_answer_ends_the_measurement(tmp_path: Path) -> None:
    model = load_model("tiny", tmp_path)
    np.save(model.path.parent / "expected.npy", model.expected + 1)
    worker = Worker("tiny", model.path.parent, python_path([BASELINES, SITE_PACKAGES]))
    with worker, pytest.raises(FreshProcessError, match=r"run: WrongAnswerError: .* off the expected one"):
        worker.measure("run", 1)
