"""The container's entry point against both platforms' directories, with a program that says what it was called with."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import onnxlet_training
from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.jobs import check_places
from onnxlet_cli.local.http import Handler, serving
from onnxlet_training.jobs import sagemaker as sagemaker_api
from onnxlet_training.jobs.job import Job
from tests.conftest import BUCKET

PROGRAM = """
import json, os, signal, sys, time
arguments = sys.argv[1:]
run = arguments[arguments.index("--out") + 1]
open(os.path.join(run, "rank-" + os.environ.get("RANK", "none")), "w").close()
shared = {name: value for name, value in os.environ.items() if name.startswith("KERAS_")}
json.dump(os.environ.get("LD_LIBRARY_PATH"), open(os.path.join(run, "loader.json"), "w"))
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
REPOSITORY = Path(onnxlet_training.__file__).parents[1]
START = """
import os, sys
from onnxlet_training.container.__main__ import main
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


def run_module(
    folder: Path, arguments: list[str], root: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The image's own entry point, as it stands in the Dockerfile."""
    command = [sys.executable, "-m", "onnxlet_training.container", *arguments]
    environment = {**os.environ, "SAGEMAKER_ROOT": str(root), "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)


def submitted(folder: Path, endpoint: str, bucket: str) -> tuple[Path, dict[str, str], str]:
    """A job as the command submits it to SageMaker: the container's root, its environment, and the registry's URL."""
    registry = f"s3://{bucket}/{uuid.uuid4()}"
    parameters = {"registry": registry, "fast": "true", "epochs": "1"}
    environment = {"AWS_ENDPOINT_URL_S3": endpoint}
    job = Job("digits", parameters, "image", f"s3://{bucket}/runs", region="us-east-1", environment=environment)
    request = sagemaker_api.to_request(job, f"onnxlet-{uuid.uuid4()}", "role")
    root = folder / "ml"
    (root / "input/config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(request["HyperParameters"]))
    return root, request["Environment"], registry


@pytest.mark.training
def test_a_job_as_it_is_submitted_publishes(tmp_path: Path, s3_endpoint: str) -> None:
    root, environment, registry = submitted(tmp_path, s3_endpoint, BUCKET)
    done = run_module(tmp_path, [], root, **environment)
    assert done.returncode == 0, done.stderr
    storage = StorageSettings(s3_endpoint)
    assert Registry(open_store(registry, storage)).resolve("digits").version == 1
    kept = list(open_store(environment["ONNXLET_CHECKPOINTS"], storage).keys(""))
    assert len(kept) == 1, "the proof that checkpoints could be kept; SageMaker itself brings them there"


class ElsewhereS3(Handler):
    """What S3 says where it is asked for a bucket in another region, by a request that is signed for this one."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = (
            b"<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed "
            b"using the specified endpoint.</Message><Endpoint>s3.eu-central-1.amazonaws.com</Endpoint></Error>"
        )
        self.reply(301, body, {"content-type": "application/xml", "x-amz-bucket-region": "eu-central-1"})

    do_PUT = do_GET


def failure_of(folder: Path, root: Path, environment: Mapping[str, str]) -> str:
    """Why a job failed, as SageMaker reads it; it trained nothing and left nothing to continue from."""
    done = run_module(folder, [], root, **environment)
    assert done.returncode == 1
    assert "epoch" not in done.stdout + done.stderr
    assert list((root / "checkpoints/run").iterdir()) == []
    return (root / "output/failure").read_text()


def test_a_registry_in_another_region_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    with serving(type("BoundElsewhere", (ElsewhereS3,), {"asked": []})) as url:
        root, environment, _ = submitted(tmp_path, url, "models")
        reason = failure_of(tmp_path, root, environment)
    assert reason.startswith("onnxlet: nothing was trained, as this run could not keep its model: s3://models/")
    assert reason.endswith(
        "the bucket is in another region; set AWS_REGION to the bucket's region "
        "(this job's AWS_REGION is us-east-1, by its --region)"
    )


def test_an_endpoint_that_does_not_answer_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    root, environment, _ = submitted(tmp_path, "http://127.0.0.1:9", "models")
    assert "onnxlet: nothing was trained" in failure_of(tmp_path, root, environment)


def test_a_bucket_that_is_not_there_ends_the_job_before_it_trains(tmp_path: Path, s3_endpoint: str) -> None:
    root, environment, registry = submitted(tmp_path, s3_endpoint, BUCKET)
    environment["ONNXLET_CHECKPOINTS"] = "s3://onnxlet-nowhere/checkpoints"
    assert "s3://onnxlet-nowhere/checkpoints" in failure_of(tmp_path, root, environment)
    assert Registry(open_store(registry, StorageSettings(s3_endpoint))).models() == []


def test_of_the_processes_of_a_job_one_tries_for_all(tmp_path: Path, s3_endpoint: str) -> None:
    _, environment, url = submitted(tmp_path, s3_endpoint, BUCKET)
    registry = Registry(open_store(url, StorageSettings(s3_endpoint)))
    for variable in ("RANK", "KERAS_DISTRIBUTION_PROCESS_ID"):
        check_places(registry, "digits", "live", {**environment, variable: "1"})
    assert list(registry.store.keys("")) == []
    with pytest.raises(OnnxletError, match="nothing was trained"):
        check_places(Registry(open_store("s3://onnxlet-nowhere", StorageSettings(s3_endpoint))), "digits", "live", {})


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


OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (builder@host)\nGCC version: 11\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Fri Jan 10 20:00:00 UTC 2025\nGCC version: 11\n"


def loader_path(folder: Path, driver: str | None, libraries: list[str], before: str = "") -> str | None:
    """The child's LD_LIBRARY_PATH on a host with a driver, in an image with libraries of cuda-compat."""
    (folder / "compat").mkdir()
    for name in libraries:
        (folder / "compat" / name).touch()
    if driver is not None:
        (folder / "version").write_text(driver)
    places = {"DRIVER": str(folder / "version"), "COMPAT": str(folder / "compat"), "LD_LIBRARY_PATH": before}
    assert start(folder, ["--recipe=digits"], **places).wait(60) == 0
    found: str | None = json.loads((folder / "run/loader.json").read_text())
    return found


@pytest.mark.parametrize("driver", [OPEN.format("550.54.15"), CLOSED.format("535.183.01"), CLOSED.format("550.135")])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("/opt/lib", ":/opt/lib")])
def test_an_older_driver_gets_cudas_compatibility_libraries_first(
    tmp_path: Path, driver: str, before: str, after: str
) -> None:
    libraries = ["libcuda.so", "libcuda.so.1", "libcuda.so.580.82.07", "libnvidia-ptxjitcompiler.so.580.82.07"]
    assert loader_path(tmp_path, driver, libraries, before) == f"{tmp_path / 'compat'}{after}"


@pytest.mark.parametrize(
    ("driver", "libraries"),
    [
        (OPEN.format("580.65.06"), ["libcuda.so.580.82.07"]),  # of the same branch, which has this CUDA itself
        (CLOSED.format("610.43.03"), ["libcuda.so.1", "libcuda.so.580.82.07"]),
        (OPEN.format("535.183.01"), []),
        (OPEN.format("535.183.01"), ["libcuda.so.1"]),
        ("something else\n", ["libcuda.so.580.82.07"]),
        (None, ["libcuda.so.580.82.07"]),
    ],
)
def test_no_other_driver_gets_them(tmp_path: Path, driver: str | None, libraries: list[str]) -> None:
    assert loader_path(tmp_path, driver, libraries, "/opt/lib") == "/opt/lib"


def test_a_bucket_that_cannot_be_written_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "gcs").write_bytes(b"")  # where the bucket would be mounted
    process = start(
        tmp_path,
        ["--recipe=cnn"],
        MOUNTED_BUCKETS=str(tmp_path / "gcs"),
        AIP_CHECKPOINT_DIR="gs://runs/cnn/checkpoints/",
    )
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "MachineError" in told
    assert "checkpoints could not be kept there, so nothing was trained: Not a directory" in told


def test_what_proves_that_a_job_can_write_does_not_stay(tmp_path: Path) -> None:
    assert start(tmp_path, ["--recipe=digits"]).wait(60) == 0
    assert [path.name for path in (tmp_path / "run").iterdir() if "may-write" in path.name] == []


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
