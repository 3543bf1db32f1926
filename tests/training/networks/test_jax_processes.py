"""Several processes, or several devices of one process, train a Keras network to the same result as one device."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.helpers import forked
from tests.helpers import training_sets as sets

EPOCHS = 4


def arguments(*more: str) -> list[str]:
    return ["train", *more, "--fast", "--force"]


def command(*more: str) -> list[str]:
    return [sys.executable, "-m", "onnxlet_cli.main", *arguments(*more)]


@pytest.mark.training
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2"},
            "Keras shares a job on JAX only: KERAS_BACKEND=jax, got tensorflow",
        ),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "not through torchrun"),
    ],
)
def test_processes_that_would_each_publish_are_refused(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", **variables}
    done = forked.run(arguments("digits"), tmp_path, environment, timeout=120)
    assert done.returncode == 1
    assert words in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("versions/*.json"))


@pytest.mark.training
@pytest.mark.usefixtures("jax")
def test_a_job_without_a_place_is_refused(tmp_path: Path) -> None:
    _, text = start(tmp_path, "digits", KERAS_DISTRIBUTION_NUM_PROCESSES="2").communicate(timeout=120)
    expected = "expected KERAS_DISTRIBUTION_JOB_ADDRESSES and KERAS_DISTRIBUTION_PROCESS_ID to be set as well"
    assert expected in text.strip().splitlines()[-1]


@pytest.mark.training
@pytest.mark.skipif(find_spec("jax") is not None, reason="JAX is installed")
def test_a_backend_that_is_not_installed_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command("digits"), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "KERAS_BACKEND=jax: No module named 'jax'; `make jax` installs it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def jax() -> None:
    pytest.importorskip("jax", reason="needs `make jax`")


def start(folder: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "KERAS_BACKEND": "jax", "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        command(*arguments), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def start_two(folder: Path, *arguments: str) -> "list[subprocess.Popen[str]]":
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    job = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
    return [start(folder, *arguments, **job, KERAS_DISTRIBUTION_PROCESS_ID=str(rank)) for rank in (0, 1)]


def finish(*processes: "subprocess.Popen[str]") -> list[str]:
    """Return the output of each process after all of them have succeeded."""
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return [output for output, _ in told]


def record(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


@pytest.mark.training
@pytest.mark.usefixtures("jax")
def test_two_processes_or_eight_devices_are_one_training(tmp_path: Path) -> None:
    """Compare even the course of the losses, as the recipe augments no image.

    The validation split, 60 rows, cannot be divided evenly by eight.
    """
    data = str(sets.write_npz(tmp_path / "mnist.npz", (28, 28)))
    options = ("mnist", "--data", data, "--epochs", str(EPOCHS))
    finish(start(tmp_path, *options, "--out", "alone"))
    first, second = finish(*start_two(tmp_path, *options, "--out", "together", "--json"))
    assert json.loads(first)["version"] == 2
    assert second == ""
    finish(start(tmp_path, *options, "--out", "shared", XLA_FLAGS="--xla_force_host_platform_device_count=8"))
    alone, together, shared = (record(tmp_path / out)["train"]["history"] for out in ("alone", "together", "shared"))
    for measure in ("loss", "val_loss"):
        assert together[measure] == pytest.approx(alone[measure], rel=0.02)
    assert shared["loss"] == pytest.approx(alone["loss"], rel=0.02)
    assert Registry(open_store((tmp_path / ".onnxlet/registry").as_uri())).versions("mnist") == [1, 2, 3]
    assert len(list((tmp_path / "together").glob("checkpoints*"))) == 1


@pytest.mark.training
@pytest.mark.usefixtures("jax")
def test_one_machines_signal_stops_all_and_all_go_on(tmp_path: Path) -> None:
    options = ("digits", "--epochs", "6", "--out", "run")
    interrupted = start_two(tmp_path, *options)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/*/state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    interrupted[1].send_signal(signal.SIGTERM)
    for process in interrupted:
        _, text = process.communicate(timeout=120)
        assert process.returncode == 1, text
        assert "Resume: onnxlet train" in text.strip().splitlines()[-1]
    finish(*start_two(tmp_path, *options))
    found = record(tmp_path / "run")
    assert len(found["train"]["history"]["val_loss"]) == 6
    assert found["evaluation"]["accuracy"] > 0.85
    assert Registry(open_store((tmp_path / ".onnxlet/registry").as_uri())).versions("digits") == [1]
