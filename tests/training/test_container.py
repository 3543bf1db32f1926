"""The container's entry point against both platforms' directories, with a program that says what it was called with."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from training.container import _launcher

PROGRAM = """
import json, os, signal, sys, time
arguments = sys.argv[1:]
run = arguments[arguments.index("--out") + 1]
def stop(number, frame):
    open(os.path.join(run, "saved"), "w").close()
    print("onnxlet: asked to end", file=sys.stderr)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
json.dump(arguments, open(os.path.join(run, "run.json"), "w"))
open(os.path.join(run, "model.onnx"), "w").close()
if "--epochs" in arguments and arguments[arguments.index("--epochs") + 1] == "99":
    time.sleep(60)
if "nope" in arguments:
    print("onnxlet: recipe 'nope': expected one of digits", file=sys.stderr)
    sys.exit(1)
"""
START = """
import os, sys
from training.container import main
sys.exit(main(sys.argv[2:], os.environ, [sys.executable, sys.argv[1]]))
"""


def start(folder: Path, arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-c", START, str(program), *arguments]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True, cwd=folder)


def sagemaker(folder: Path, parameters: dict[str, str]) -> Path:
    root = folder / "ml"
    (root / "input/config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(parameters))
    (root / "input/data/training").mkdir(parents=True)
    (root / "input/data/training/mnist.npz").write_bytes(b"")
    return root


def test_sagemakers_directories_become_options(tmp_path: Path) -> None:
    root = sagemaker(tmp_path, {"recipe": "mnist", "epochs": "3", "max_accuracy_drop": "0.01", "compress": "true"})
    process = start(tmp_path, [], SAGEMAKER_ROOT=str(root))
    assert process.wait(60) == 0
    called = json.loads((root / "model/run.json").read_text())
    assert called[:4] == ["train", "mnist", "--out", str(root / "checkpoints/run")]
    assert set(pairwise(called)) >= {
        ("--epochs", "3"),
        ("--max-accuracy-drop", "0.01"),
        ("--data", str(root / "input/data/training/mnist.npz")),
    }
    assert "--compress" in called
    assert (root / "model/model.onnx").exists()
    assert not (root / "output/failure").exists()


@pytest.mark.parametrize(("current", "rank"), [("algo-1", "0"), ("algo-2", "1")])
def test_several_machines_are_led_together_by_torchrun(tmp_path: Path, current: str, rank: str) -> None:
    root = sagemaker(tmp_path, {"recipe": "cnn"})
    config = {"current_host": current, "hosts": ["algo-2", "algo-1"]}
    (root / "input/config/resourceconfig.json").write_text(json.dumps(config))
    assert _launcher(root, {})[-6:] == ["--nnodes", "2", "--node-rank", rank, "--master-addr", "algo-1"]


def test_vertexs_pools_are_counted_through(tmp_path: Path) -> None:
    cluster = {"workerpool0": ["first:2222"], "workerpool1": ["second:2222", "third:2222"]}
    spec = {"cluster": cluster, "task": {"type": "workerpool1", "index": 1}}
    launcher = _launcher(tmp_path, {"CLUSTER_SPEC": json.dumps(spec)})
    assert launcher[-6:] == ["--nnodes", "3", "--node-rank", "2", "--master-addr", "first"]
    assert _launcher(tmp_path, {}) == []


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


def test_vertexs_urls_are_mounted_buckets(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        ["--recipe=cnn", "--seed=1", "--fast=true", "--stage=false"],
        SAGEMAKER_ROOT=str(tmp_path / "none"),
        MOUNTED_BUCKETS=str(tmp_path / "gcs"),
        AIP_CHECKPOINT_DIR="gs://runs/cnn/checkpoints/",
        AIP_MODEL_DIR="gs://runs/cnn/model/",
    )
    assert process.wait(60) == 0
    called = json.loads((tmp_path / "gcs/runs/cnn/model/run.json").read_text())
    run = tmp_path / "gcs/runs/cnn/checkpoints/run"
    assert called == ["train", "cnn", "--out", str(run), "--seed", "1", "--fast"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed=1"], "recipe: expected a recipe's name"),
        (["--recipe=cnn", "--speed=9"], "speed: expected one of data"),
        (["recipe"], "'recipe': expected --name=value"),
    ],
)
def test_parameters_that_cannot_be_are_named(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "training.container", *arguments]
    environment = {**os.environ, "SAGEMAKER_ROOT": str(tmp_path / "none"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
