"""The training process of a container: its signals, and why it failed."""

import signal
import time
from pathlib import Path

from tests.helpers.containers import sagemaker, start


def test_why_a_job_failed_is_where_sagemaker_looks(tmp_path: Path) -> None:
    root = sagemaker(tmp_path, {"recipe": "nope"})
    process = start(tmp_path, [], SAGEMAKER_ROOT=str(root))
    assert process.wait(60) == 1
    assert (root / "output/failure").read_text() == "onnxlet: recipe 'nope': expected one of digits"
    assert not (root / "model").exists()


def test_a_spot_instances_signal_reaches_the_training(tmp_path: Path) -> None:
    root = sagemaker(tmp_path, {"recipe": "digits", "epochs": "99"})
    process = start(tmp_path, [], SAGEMAKER_ROOT=str(root))
    deadline = time.monotonic() + 30
    while not (root / "checkpoints/run/model.onnx").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    assert (root / "checkpoints/run/saved").exists()
    assert (root / "output/failure").read_text() == "onnxlet: asked to end"


def test_a_training_that_the_kernel_kills_has_a_reason_all_the_same(tmp_path: Path) -> None:
    root = sagemaker(tmp_path, {"recipe": "killed", "fast": "true"})
    process = start(tmp_path, [], SAGEMAKER_ROOT=str(root))
    assert process.wait(60) == 128 + signal.SIGKILL
    assert (root / "output/failure").read_text() == "the training was ended by SIGKILL"
