"""Several processes, or several devices of one, train a Keras network together and end where one alone does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_training.networks.feed import Feed, Review
from onnxlet_training.networks.processes import Processes
from onnxlet_training.recipe import Split
from tests.training import sets

EPOCHS = 4
SPLIT = Split(np.arange(45)[:, None], np.arange(45), lambda inputs: inputs)


@pytest.mark.parametrize(("job", "rows"), [(Processes(), 32), (Processes(1, 2, 2), 16), (Processes(0, 3, 6), 12)])
def test_a_batch_is_divided_evenly_among_all_devices(job: Processes, rows: int) -> None:
    assert job.rows(32) == rows


def test_the_shares_of_the_processes_are_the_batch() -> None:
    whole = Feed(SPLIT, 16, None, 0, seed=3)
    halves = [replace(whole, batch_size=8, rank=rank, world=2) for rank in (0, 1)]
    assert {len(each) for each in (whole, *halves)} == {2}
    for index in range(2):
        shares = [each.batch(1, index)[1] for each in halves]
        assert np.concatenate(shares).tolist() == whole.batch(1, index)[1].tolist()


def test_a_process_has_a_share_even_of_fewer_rows_than_a_batch_has() -> None:
    few = [Feed(SPLIT, 32, None, 0, seed=3, rank=rank, world=2) for rank in (0, 1)]
    assert [len(each.batch(0, 0)[1]) for each in few] == [32, 32]
    assert {row for each in few for row in each.batch(0, 0)[1]} == set(range(45))


@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (2, 2), (2, 8), (3, 3), (4, 64)])
def test_every_row_is_validated_on_and_few_twice(processes: int, devices: int) -> None:
    rows = Processes(0, processes, devices).rows(16)
    reviews = [Review(SPLIT, rows, devices, rank, processes) for rank in range(processes)]
    seen: list[int] = []
    for index in range(len(reviews[0])):
        shares = [review.batch(index)[1].tolist() for review in reviews]
        assert len({len(share) for share in shares}) == 1, "no process waits for another's rows"
        assert sum(map(len, shares)) % devices == 0
        seen += [row for share in shares for row in share]
    assert set(seen) == set(range(45))
    assert len(seen) - 45 < devices


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "onnxlet_cli.main", "train", *arguments, "--fast", "--force"]


@pytest.mark.training
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2"},
            "Keras shares a job on JAX only: KERAS_BACKEND=jax, got tensorflow",
        ),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "not by torchrun"),
    ],
)
def test_processes_that_would_each_publish_are_refused(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", **variables}
    done = subprocess.run(command("digits"), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert words in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("versions/*.json"))


@pytest.mark.training
@pytest.mark.usefixtures("jax")
def test_a_job_without_a_place_is_refused(tmp_path: Path) -> None:
    _, text = start(tmp_path, "digits", KERAS_DISTRIBUTION_NUM_PROCESSES="2").communicate(timeout=120)
    expected = "expected KERAS_DISTRIBUTION_JOB_ADDRESSES and KERAS_DISTRIBUTION_PROCESS_ID beside it"
    assert expected in text.strip().splitlines()[-1]


@pytest.mark.training
@pytest.mark.skipif(find_spec("jax") is not None, reason="JAX is installed")
def test_a_backend_that_is_not_installed_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command("digits"), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "KERAS_BACKEND=jax: No module named 'jax'; `make jax` adds it" in done.stderr
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
    """What each writes to its output, once it has ended well."""
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return [output for output, _ in told]


def record(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


@pytest.mark.training
@pytest.mark.usefixtures("jax")
def test_two_processes_or_eight_devices_are_one_training(tmp_path: Path) -> None:
    """The recipe changes no image, so that even the course of the losses must be the same.

    The validation split, 60 rows, is not divided evenly by eight.
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
