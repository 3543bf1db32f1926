from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxlet_publishing.graphs import Graph
from onnxlet_training.compare import compare, measure_original
from onnxlet_training.recipe import Split
from tests.helpers import graphs

pytestmark = pytest.mark.training


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Random images, and as their classes what the network with seed 0 says."""
    images = np.random.default_rng(0).random((200, 28, 28, 1)).astype(np.float32)
    path = write(tmp_path / "truth.onnx", 0)
    truth = Graph(path.read_bytes()).run({"input": images}, "output").argmax(axis=1)
    return Split(images, truth, lambda inputs: inputs)


def write(path: Path, seed: int) -> Path:
    onnx.save(graphs.classifier(seed), path)
    return path


def test_a_variant_that_loses_too_much_is_left_out(tmp_path: Path, split: Split) -> None:
    original = measure_original(write(tmp_path / "a.onnx", 0), split)
    assert (original.accuracy, original.latency_ratio, original.is_kept) == (1.0, 1.0, True)
    other = compare("int8", write(tmp_path / "b.onnx", 1), original, split, max_accuracy_drop=0.005)
    assert not other.is_kept
    assert "of accuracy, more than 0.005" in other.reason


def test_a_variant_that_gains_nothing_is_left_out(tmp_path: Path, split: Split) -> None:
    """Compare a network with itself followed by needless operations: equally accurate, but slower."""
    proto = graphs.classifier(0)
    chain = [onnx.helper.make_node("Softmax", ["logits"], ["p0"])]
    chain += [onnx.helper.make_node("Mul", [f"p{i}", "one"], [f"p{i + 1}"]) for i in range(60)]
    chain.append(onnx.helper.make_node("Identity", ["p60"], ["output"]))
    del proto.graph.node[-1]
    proto.graph.node.extend(chain)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2, np.float32), "one"))
    onnx.save(proto, tmp_path / "slow.onnx")
    original = measure_original(write(tmp_path / "a.onnx", 0), split)
    slow = compare("int8", tmp_path / "slow.onnx", original, split, max_accuracy_drop=0.005)
    assert slow.accuracy == 1.0
    assert not slow.is_kept
    assert "not faster" in slow.reason


def test_a_graph_is_no_faster_than_itself(tmp_path: Path, split: Split) -> None:
    original = measure_original(write(tmp_path / "a.onnx", 0), split)
    same = compare("int8", original.path, original, split, max_accuracy_drop=0.005)
    assert (same.is_kept, same.reason[:10]) == (False, "not faster")
    smaller = compare("pruned", original.path, replace(original, zipped_bytes=10**6), split, 0.005)
    assert (smaller.is_kept, smaller.reason) == (True, "smaller when zipped, and no faster")


def test_a_variant_may_lose_as_much_as_the_budget(tmp_path: Path, split: Split) -> None:
    """Lose one of two hundred images, 0.005: in binary, 1 - 0.995 is slightly more."""
    original = measure_original(write(tmp_path / "a.onnx", 0), split)
    targets = split.targets.copy()
    targets[0] = (targets[0] + 1) % 10
    other = compare("int8", original.path, original, replace(split, targets=targets), max_accuracy_drop=0.005)
    assert other.accuracy == 0.995
    assert "of accuracy" not in other.reason
