"""Several processes on this machine's CPUs train one PyTorch network as well as a single process does."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.helpers.training_runs import EPOCHS, fast_arguments, train, wait_for_checkpoint

pytestmark = pytest.mark.training

pytest.importorskip("torch", reason="needs `make torch`")


def start_two(folder: Path, *options: str) -> "list[subprocess.Popen[str]]":
    """Start two processes without `torchrun`, which would send each signal to both."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "onnxlet_cli.main", *fast_arguments("cnn", "run"), "--force", *options]
    return [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **job, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in (0, 1)
    ]


@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_batch(tmp_path: Path, signalled: int) -> None:
    """Stop together: a process that continued would wait forever for the other's gradients."""
    processes = start_two(tmp_path)
    wait_for_checkpoint(processes[0], tmp_path, 1)
    processes[signalled].send_signal(signal.SIGTERM)
    ends = []
    for process in processes:
        _, text = process.communicate(timeout=120)
        assert process.returncode == 1, text
        assert "Resume: onnxlet train" in text.strip().splitlines()[-1]
        ends.append(next(line for line in text.splitlines() if line.startswith("onnxlet: ")))
    assert ends[0] == ends[1]
    assert ends[0].startswith("onnxlet: the training was stopped in epoch")
    if signalled == 1:
        for process in start_two(tmp_path, "--epochs", "3"):
            _, text = process.communicate(timeout=200)
            assert process.returncode == 0, text
        assert Registry(open_store((tmp_path / ".onnxlet/registry").as_uri())).versions("cnn") == [1]


def test_two_processes_go_on_from_the_same_epoch(tmp_path: Path) -> None:
    """Give the second process the first one's checkpoint, as it has none of its own."""
    process = train(tmp_path, "cnn")
    wait_for_checkpoint(process, tmp_path, 3)
    process.kill()
    process.communicate()
    path = max(tmp_path.glob("run/checkpoints/*/state.json"))
    saved = json.loads(path.read_text())["history"]["val_loss"]
    done = torchrun(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    history = json.loads((tmp_path / "run/run.json").read_text())["train"]["history"]["val_loss"]
    assert history[: len(saved)] == saved
    assert len(history) > len(saved) >= 3
    assert len(list((tmp_path / "run").glob("checkpoints*"))) == 1


def torchrun(folder: Path, out: str) -> "subprocess.CompletedProcess[str]":
    """Run two processes of a PyTorch recipe on this machine's CPUs."""
    arguments = ["train", "cnn", "--fast", "--force", "--epochs", str(EPOCHS), "--out", out]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, "-m", "onnxlet_cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    alone = train(tmp_path, "cnn", "alone")
    _, text = alone.communicate(timeout=200)
    assert alone.returncode == 0, text
    done = torchrun(tmp_path, "together")
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / out / "run.json").read_text()) for out in ("alone", "together")]
    accuracies = [record["evaluation"]["accuracy"] for record in found]
    assert accuracies[1] > accuracies[0] - 0.08
    assert Registry(open_store((tmp_path / ".onnxlet/registry").as_uri())).versions("cnn") == [1, 2]
