"""Both platforms' folders and variables become a job."""

import json
from itertools import pairwise
from pathlib import Path

from tests.helpers.containers import sagemaker, start, torchrun


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


def test_vertexs_pools_are_counted_through(tmp_path: Path) -> None:
    cluster = {"workerpool0": ["first:2222"], "workerpool1": ["second:2222", "third:2222"]}
    spec = {"cluster": cluster, "task": {"type": "workerpool1", "index": 1}}
    assert torchrun(tmp_path, ["--recipe=cnn"], CLUSTER_SPEC=json.dumps(spec)) == {
        "nproc-per-node": "1",
        "nnodes": "3",
        "node-rank": "2",
        "master-addr": "first",
    }


def test_vertexs_machines_are_led_together_by_jax_for_keras(tmp_path: Path) -> None:
    cluster = {"workerpool0": ["first:2222"], "workerpool1": ["second:2222"]}
    spec = {"cluster": cluster, "task": {"type": "workerpool1", "index": 0}}
    assert start(tmp_path, ["--recipe=digits"], CLUSTER_SPEC=json.dumps(spec)).wait(60) == 0
    found = json.loads((tmp_path / "run/keras.json").read_text())
    assert found["KERAS_DISTRIBUTION_JOB_ADDRESSES"] == "first:8476"
    assert found["KERAS_DISTRIBUTION_PROCESS_ID"] == "1"


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
