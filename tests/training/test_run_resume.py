"""A run that is killed continues from its checkpoint and publishes one version, as if it had not been killed."""

import json
import random
import shlex
import signal
import time
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.helpers.forked import Forked
from tests.helpers.training_runs import EPOCHS, epochs_done, start, train, wait_for_checkpoint

pytestmark = pytest.mark.training


@pytest.mark.parametrize("recipe", ["digits", "cnn"])
def test_a_job_that_is_killed_again_and_again_ends_in_one_version(tmp_path: Path, recipe: str) -> None:
    if recipe == "cnn":
        pytest.importorskip("torch", reason="needs `make torch`")
    chance = random.Random(0)
    for after in (1, 3):
        process = train(tmp_path, recipe)
        wait_for_checkpoint(process, tmp_path, after)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.communicate()
    interrupted = train(tmp_path, recipe)
    wait_for_checkpoint(interrupted, tmp_path, epochs_done(tmp_path) + 1)
    interrupted.send_signal(signal.SIGTERM)
    _, text = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 1
    error, resume = text.strip().splitlines()[-2:]
    assert error.startswith("onnxlet: the training was stopped in epoch")
    assert resume == f"Resume: onnxlet train {recipe} --fast --epochs {EPOCHS} --out run"
    before = epochs_done(tmp_path)
    assert before >= 2

    killed = train(tmp_path, recipe)
    wait_for_publication(killed, tmp_path)
    killed.kill()  # while it publishes, or right after
    killed.communicate()
    done = train(tmp_path, recipe)
    _, text = done.communicate(timeout=200)
    assert done.returncode == 0, text
    registry = Registry(open_store((tmp_path / ".onnxlet/registry").as_uri()))
    assert registry.versions(recipe) == [1]
    assert registry.resolve(recipe).version == 1
    assert len(registry.alias(recipe).history) == 1
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert len(record["train"]["history"]["val_loss"]) == EPOCHS


@pytest.mark.parametrize("recipe", ["digits", "cnn"])
def test_a_stopped_run_names_the_command_that_continues_it(tmp_path: Path, recipe: str) -> None:
    """Also one by Ctrl-C, and one whose folder the user has not named."""
    if recipe == "cnn":
        pytest.importorskip("torch", reason="needs `make torch`")
    command = ["train", recipe, "--fast", "--epochs", "3", "--seed", "7", "--registry", "my registry"]
    process = start(tmp_path, command)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/checkpoints/*/state.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    (folder,) = (tmp_path / "runs").iterdir()
    resume = text.strip().splitlines()[-1].removeprefix("Resume: ")
    assert shlex.split(resume) == ["onnxlet", *command, "--out", f"runs/{folder.name}"]

    again = start(tmp_path, shlex.split(resume)[1:])
    _, text = again.communicate(timeout=200)
    assert again.returncode == 0, text
    assert "epoch  1/" not in text, "what was saved is not trained again"
    assert list((tmp_path / "runs").iterdir()) == [folder]
    assert Registry(open_store((tmp_path / "my registry").as_uri())).resolve(recipe).provenance.seed == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_before_anything_is_saved_leaves_no_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, ["train", "digits", "--fast"])
    assert process.wait_for_error_line().startswith("data")
    process.send_signal(number)
    _, text = process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else 1), text
    assert "Traceback" not in text
    if "Resume" not in text:
        assert not (tmp_path / "runs").exists()


def wait_for_publication(process: Forked, folder: Path) -> None:
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if list((folder / ".onnxlet/registry").glob("blobs/sha256/*")):
            return
        time.sleep(0.005)


def test_an_interrupted_job_is_as_good_as_an_undisturbed_one(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs `make torch`")
    process = train(tmp_path, "cnn")
    wait_for_checkpoint(process, tmp_path, 3)
    process.kill()
    process.communicate()
    for out in ("run", "undisturbed"):
        process = train(tmp_path, "cnn", out)
        _, text = process.communicate(timeout=200)
        assert process.returncode == 0, text
    histories = [
        json.loads((tmp_path / out / "run.json").read_text())["train"]["history"] for out in ("run", "undisturbed")
    ]
    assert histories[0]["val_loss"] == pytest.approx(histories[1]["val_loss"], rel=1e-3)
