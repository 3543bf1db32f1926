"""Smaller graphs of a classifier: what is made, what is kept, and what the functions answer with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxlet.app import App
from onnxlet.config import Settings
from onnxlet.http import Request
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from training.compare import compare, measure_original
from training.recipe import Split
from training.tasks.classification import to_png

pytestmark = pytest.mark.training


@pytest.fixture
def test_split(tmp_path: Path) -> Split:
    """Random images, and as their classes what the network with seed 0 says."""
    images = np.random.default_rng(0).random((200, 28, 28, 1)).astype(np.float32)
    path = write(tmp_path / "truth.onnx", 0)
    from training.graphs import Graph

    truth = Graph(path.read_bytes()).run({"input": images}, "output").argmax(axis=1)
    return Split(images, truth, lambda inputs: inputs)


def write(path: Path, seed: int) -> Path:
    onnx.save(graphs.classifier(seed), path)
    return path


def test_a_variant_that_loses_too_much_is_left_out(tmp_path: Path, test_split: Split) -> None:
    original = measure_original(write(tmp_path / "a.onnx", 0), test_split)
    assert (original.accuracy, original.latency_ratio, original.is_kept) == (1.0, 1.0, True)
    other = compare("int8", write(tmp_path / "b.onnx", 1), original, test_split, max_accuracy_drop=0.005)
    assert not other.is_kept
    assert "of accuracy, more than 0.005" in other.reason


def test_a_variant_that_gains_nothing_is_left_out(tmp_path: Path, test_split: Split) -> None:
    """The same network after itself eight times: right, and slower."""
    proto = graphs.classifier(0)
    chain = [onnx.helper.make_node("Softmax", ["logits"], ["p0"])]
    chain += [onnx.helper.make_node("Mul", [f"p{i}", "one"], [f"p{i + 1}"]) for i in range(60)]
    chain.append(onnx.helper.make_node("Identity", ["p60"], ["output"]))
    del proto.graph.node[-1]
    proto.graph.node.extend(chain)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2, np.float32), "one"))
    onnx.save(proto, tmp_path / "slow.onnx")
    original = measure_original(write(tmp_path / "a.onnx", 0), test_split)
    slow = compare("int8", tmp_path / "slow.onnx", original, test_split, max_accuracy_drop=0.005)
    assert slow.accuracy == 1.0
    assert not slow.is_kept
    assert "not faster" in slow.reason


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compress")
    arguments = ["train", "digits", "--fast", "--compress", "--max-accuracy-drop", "0.9", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_each_variant_is_measured_beside_the_original(root: Path) -> None:
    record = json.loads((root / "run/run.json").read_text())
    variants: dict[str, Any] = {each["name"]: each for each in record["variants"]}
    assert list(variants) == ["fp32", "int8", "student", "pruned"]
    assert variants["int8"]["size_bytes"] * 3 < variants["fp32"]["size_bytes"]
    assert variants["student"]["size_bytes"] * 5 < variants["fp32"]["size_bytes"]
    assert variants["pruned"]["zipped_bytes"] < 0.6 * variants["fp32"]["zipped_bytes"]
    assert variants["int8"]["accuracy"] > variants["fp32"]["accuracy"] - 0.05
    assert all(each["reason"] for each in variants.values())


def test_most_weights_of_the_pruned_graph_are_zero(root: Path) -> None:
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(root / "run/model-pruned.onnx").graph.initializer
        if len(tensor.dims) > 1
    ]
    zeros = sum(int((each == 0).sum()) for each in weights) / sum(each.size for each in weights)
    assert 0.69 < zeros < 0.71


def test_what_is_kept_is_published_and_answers(root: Path) -> None:
    registry = Registry(open_store((root / ".onnxlet/registry").as_uri()))
    manifest = registry.resolve("digits")
    record = json.loads((root / "run/run.json").read_text())
    kept = [each["name"] for each in record["variants"] if each["is_kept"]]
    assert [artifact.variant for artifact in manifest.artifacts if artifact.role == "model"] == kept
    assert "pruned" in kept
    assert manifest.metrics["pruned_accuracy"] > 0.5
    body = to_png(np.zeros((28, 28, 1), np.uint8))
    answers = {}
    for variant in kept:
        app = App(Settings(registry.store.url, variant=variant))
        response = app.handle(Request("POST", "/predict/digits", body, {"content-type": "image/png"}))
        answers[variant] = json.loads(response.body)["predictions"][0]["probability"]
    assert len(set(answers.values())) == len(kept)
