from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from onnxlet_cli.bench.models import NETWORKS, load_model
from onnxlet_cli.bench.options import SIZES
from onnxlet_cli.errors import WrongAnswerError


@pytest.mark.parametrize("name", ["tiny", "cnn"])
def test_a_model_runs_and_answers_finite_numbers_that_depend_on_the_input(name: str, tmp_path: Path) -> None:
    model = load_model(name, tmp_path)
    session = onnxruntime.InferenceSession(str(model.path))
    (answer,) = session.run(None, model.arrays())
    (other,) = session.run(None, {"input": -model.arrays()["input"]})
    assert np.isfinite(answer).all()
    assert answer.shape == (1, 10)
    assert np.abs(answer - other).max() > 0.1
    model.check(answer)
    with pytest.raises(WrongAnswerError):
        model.check(other)
    with pytest.raises(WrongAnswerError):
        model.check(np.full_like(answer, np.nan))


@pytest.mark.parametrize("name", ["tiny", "cnn"])
def test_the_same_seed_gives_the_same_file(name: str) -> None:
    first, second = (NETWORKS[name][0]() for _ in range(2))
    onnx.checker.check_model(first)
    assert first.SerializeToString() == second.SerializeToString()


def test_a_model_is_made_once(tmp_path: Path) -> None:
    written_at = load_model("tiny", tmp_path).path.stat().st_mtime_ns
    assert load_model("tiny", tmp_path).path.stat().st_mtime_ns == written_at


def test_every_model_has_a_size() -> None:
    assert list(NETWORKS) == list(SIZES)
