"""A container's job becomes a call of `onnxlet train`, on one machine or several."""

import json
from pathlib import Path

import pytest

from tests.helpers.containers import devices, run_module, sagemaker, start, torchrun


@pytest.mark.parametrize(("current", "rank"), [("algo-1", "0"), ("algo-2", "1")])
def test_sagemakers_machines_are_led_together_by_torchrun(tmp_path: Path, current: str, rank: str) -> None:
    root = sagemaker(tmp_path, {"recipe": "cnn"})
    config = {"current_host": current, "hosts": ["algo-2", "algo-1"]}
    (root / "input/config/resourceconfig.json").write_text(json.dumps(config))
    assert torchrun(tmp_path, [], SAGEMAKER_ROOT=str(root)) == {
        "nproc-per-node": "1",
        "nnodes": "2",
        "node-rank": rank,
        "master-addr": "algo-1",
    }
    assert (root / "model/model.onnx").exists() == (rank == "0")


def test_pytorch_gets_a_process_for_each_gpu_of_one_machine(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    devices(tmp_path, 2)
    process = start(tmp_path, ["--recipe=cnn"])
    assert process.wait(120) == 0
    assert {path.name for path in (tmp_path / "run").glob("rank-*")} == {"rank-0", "rank-1"}


def test_keras_gets_one_process_for_all_gpus_of_a_machine(tmp_path: Path) -> None:
    devices(tmp_path, 2)
    process = start(tmp_path, ["--recipe=digits"])
    assert process.wait(60) == 0
    assert [path.name for path in (tmp_path / "run").glob("rank-*")] == ["rank-none"]
    assert "KERAS_DISTRIBUTION_NUM_PROCESSES" not in json.loads((tmp_path / "run/keras.json").read_text())


@pytest.mark.parametrize(("current", "rank"), [("algo-1", "0"), ("algo-2", "1")])
def test_sagemakers_machines_are_led_together_by_jax_for_keras(tmp_path: Path, current: str, rank: str) -> None:
    root = sagemaker(tmp_path, {"recipe": "digits"})
    config = {"current_host": current, "hosts": ["algo-2", "algo-1"]}
    (root / "input/config/resourceconfig.json").write_text(json.dumps(config))
    assert start(tmp_path, [], SAGEMAKER_ROOT=str(root)).wait(60) == 0
    assert json.loads((root / "checkpoints/run/keras.json").read_text()) == {
        "KERAS_BACKEND": "jax",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": "algo-1:8476",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": rank,
    }
    assert (root / "model/model.onnx").exists() == (rank == "0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed=1"], "recipe: expected a recipe's name"),
        (["--recipe=cnn", "--speed=9"], "speed: expected one of data"),
        (["recipe"], "'recipe': expected --name=value"),
    ],
)
def test_parameters_that_cannot_be_are_named(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run_module(tmp_path, arguments, tmp_path / "none")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
