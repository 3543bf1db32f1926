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

import training

PROGRAM = """
import json, os, signal, sys, time
arguments = sys.argv[1:]
run = arguments[arguments.index("--out") + 1]
open(os.path.join(run, "rank-" + os.environ.get("RANK", "none")), "w").close()
shared = {name: value for name, value in os.environ.items() if name.startswith("KERAS_")}
json.dump(shared, open(os.path.join(run, "keras.json"), "w"))
def stop(number, frame):
    open(os.path.join(run, "saved"), "w").close()
    print("onnxlet: asked to end", file=sys.stderr)
    print("a line that a library writes at its end", file=sys.stderr)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
json.dump(arguments, open(os.path.join(run, "run.json"), "w"))
open(os.path.join(run, "model.onnx"), "w").close()
os.makedirs(os.path.join(run, "tensorboard"), exist_ok=True)
open(os.path.join(run, "tensorboard", "events"), "w").close()
if "--fast" in arguments and "killed" in arguments:
    os.kill(os.getpid(), signal.SIGKILL)
if "--epochs" in arguments and arguments[arguments.index("--epochs") + 1] == "99":
    time.sleep(60)
if "nope" in arguments:
    print("onnxlet: recipe 'nope': expected one of digits", file=sys.stderr)
    sys.exit(1)
"""
LAUNCHER = """
import json, runpy, sys
split = next(index for index, word in enumerate(sys.argv) if word.endswith("program.py"))
json.dump(sys.argv[1:split], open("torchrun.json", "w"))
sys.argv = sys.argv[split:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
REPOSITORY = Path(training.__file__).parents[1]
START = """
import os, sys
from training.container import main
sys.exit(main(sys.argv[2:], os.environ, [sys.executable, sys.argv[1]]))
"""


def start(folder: Path, arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    program = folder / "program.py"
    program.write_text(PROGRAM)
    places = {"SAGEMAKER_ROOT": str(folder / "none"), "DEVICES": str(folder / "dev"), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", START, str(program), *arguments]
    environment = {**os.environ, **places, **environment}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder)


def devices(folder: Path, gpus: int) -> None:
    """A folder as Linux's `/dev` with so many GPUs, which `start` names."""
    (folder / "dev").mkdir()
    for name in ("nvidiactl", *(f"nvidia{index}" for index in range(gpus))):
        (folder / "dev" / name).touch()


def torchrun(folder: Path, arguments: list[str], **environment: str) -> dict[str, str]:
    """The options that the entry point calls `torchrun` with: a package of its name stands in for it."""
    launcher = folder / "stand-in/torch/distributed/run.py"
    launcher.parent.mkdir(parents=True)
    for package in (launcher.parent, launcher.parent.parent):
        (package / "__init__.py").touch()
    launcher.write_text(LAUNCHER)
    places = os.pathsep.join((str(folder / "stand-in"), str(REPOSITORY)))
    assert start(folder, arguments, PYTHONPATH=places, **environment).wait(60) == 0
    called = json.loads((folder / "torchrun.json").read_text())
    return {name.removeprefix("--"): value for name, value in batched_in_pairs(called)}


def batched_in_pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))


def run_module(folder: Path, arguments: list[str], root: Path) -> "subprocess.CompletedProcess[str]":
    """The image's own entry point, as it stands in the Dockerfile."""
    command = [sys.executable, "-m", "training.container", *arguments]
    environment = {**os.environ, "SAGEMAKER_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)


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


def test_vertexs_pools_are_counted_through(tmp_path: Path) -> None:
    cluster = {"workerpool0": ["first:2222"], "workerpool1": ["second:2222", "third:2222"]}
    spec = {"cluster": cluster, "task": {"type": "workerpool1", "index": 1}}
    assert torchrun(tmp_path, ["--recipe=cnn"], CLUSTER_SPEC=json.dumps(spec)) == {
        "nproc-per-node": "1",
        "nnodes": "3",
        "node-rank": "2",
        "master-addr": "first",
    }


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


def test_vertexs_machines_are_led_together_by_jax_for_keras(tmp_path: Path) -> None:
    cluster = {"workerpool0": ["first:2222"], "workerpool1": ["second:2222"]}
    spec = {"cluster": cluster, "task": {"type": "workerpool1", "index": 0}}
    assert start(tmp_path, ["--recipe=digits"], CLUSTER_SPEC=json.dumps(spec)).wait(60) == 0
    found = json.loads((tmp_path / "run/keras.json").read_text())
    assert found["KERAS_DISTRIBUTION_JOB_ADDRESSES"] == "first:8476"
    assert found["KERAS_DISTRIBUTION_PROCESS_ID"] == "1"


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


def test_what_sagemakers_own_tools_add_is_left_out(tmp_path: Path) -> None:
    added = {"sagemaker_region": "us-east-1", "_tuning_objective_metric": "accuracy"}
    root = sagemaker(tmp_path, {"recipe": "digits", "data": "s3://digits/all", **added})
    (root / "input/data/aside").mkdir()
    assert start(tmp_path, [], SAGEMAKER_ROOT=str(root)).wait(60) == 0
    called = json.loads((root / "model/run.json").read_text())
    assert called == ["train", "digits", "--out", str(root / "checkpoints/run"), "--data", "s3://digits/all"]


def test_the_channel_called_training_goes_before_others(tmp_path: Path) -> None:
    root = sagemaker(tmp_path, {"recipe": "digits"})
    (root / "input/data/aside").mkdir()
    assert start(tmp_path, [], SAGEMAKER_ROOT=str(root)).wait(60) == 0
    called = json.loads((root / "model/run.json").read_text())
    assert called[-2:] == ["--data", str(root / "input/data/training/mnist.npz")]


def test_vertexs_urls_are_mounted_buckets(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        ["--recipe=cnn", "--seed=1", "--fast=true", "--stage=false", "--data=gs://sets/mnist.npz"],
        MOUNTED_BUCKETS=str(tmp_path / "gcs"),
        AIP_CHECKPOINT_DIR="gs://runs/cnn/checkpoints/",
        AIP_MODEL_DIR="gs://runs/cnn/model/",
        AIP_TENSORBOARD_LOG_DIR="gs://runs/cnn/logs/",
    )
    assert process.wait(60) == 0
    called = json.loads((tmp_path / "gcs/runs/cnn/model/run.json").read_text())
    run = tmp_path / "gcs/runs/cnn/checkpoints/run"
    data = tmp_path / "gcs/sets/mnist.npz"
    assert called == ["train", "cnn", "--out", str(run), "--seed", "1", "--fast", "--data", str(data)]
    assert (tmp_path / "gcs/runs/cnn/logs/events").exists()


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
