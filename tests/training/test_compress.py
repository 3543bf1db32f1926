"""Smaller graphs of a classifier: what is made, what is kept, and what the functions answer with."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxlet.contract.artifact import ONNX
from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.graphs import Graph
from onnxlet_training import data
from onnxlet_training.compare import Variant, with_variants
from onnxlet_training.compress import compress
from onnxlet_training.recipe import Array, Dataset, Exportable, Options
from onnxlet_training.recipes.digits import RECIPE
from onnxlet_training.tasks.classification import ClassificationTask, to_png
from tests.helpers import graphs

pytestmark = pytest.mark.training


def write(path: Path, seed: int) -> Path:
    onnx.save(graphs.classifier(seed), path)
    return path


def test_only_what_is_kept_is_published_with_its_measures(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", 1)
    size_bytes = path.stat().st_size
    variants = [
        Variant(name, path, size_bytes, size_bytes, 0.75, 0.5, 0.005, name != "int8", "")
        for name in ("fp32", "int8", "student")
    ]
    candidate = with_variants(graphs.digits_candidate(), variants)
    assert candidate.variants == {"student": path.read_bytes()}
    measures = {"student_accuracy": 0.75, "student_latency_ratio": 0.5, "student_size_bytes": size_bytes}
    assert candidate.metrics == {"accuracy": 0.1, **measures}


@dataclass
class FittedElsewhere:
    """A classifier of another framework than Keras, of which only the graph is known."""

    path: Path
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 1
    duration_s: float = 0.0
    rank: int = 0

    def predict(self, features: Array) -> Array:
        return Graph(self.path.read_bytes()).run({"input": features}, "output")

    def run(self, *inputs: Array) -> list[Array]:
        return [self.predict(*inputs)]

    def exportables(self, dataset: Dataset) -> list[Exportable]:  # noqa: ARG002 - the protocol's
        return []


def test_another_frameworks_classifier_of_logits_has_a_student_of_logits(tmp_path: Path) -> None:
    """Train the student twice from the same seed and get the same network."""
    recipe = replace(RECIPE, task=ClassificationTask(activation="softmax"), augmented_copies=0, augment=None)
    options = Options(is_fast=True)
    dataset = data.load(recipe, options, tmp_path)
    path = write(tmp_path / "model.onnx", 0)
    students = []
    for _ in range(2):
        variants = compress(recipe, FittedElsewhere(path), dataset, path, options, 1.0)
        assert [variant.name for variant in variants] == ["fp32", "int8", "student"]
        students.append(Graph(variants[-1].path.read_bytes()).run({"input": dataset.test.features}, "output"))
    assert not np.allclose(students[0].sum(axis=1), 1)
    np.testing.assert_allclose(students[0], students[1], atol=1e-3)


def test_each_variant_is_measured_beside_the_original(digits_run: Path) -> None:
    record = json.loads((digits_run / "run/run.json").read_text())
    variants: dict[str, Any] = {each["name"]: each for each in record["variants"]}
    assert list(variants) == ["fp32", "int8", "student", "pruned"]
    assert variants["int8"]["size_bytes"] * 3 < variants["fp32"]["size_bytes"]
    assert variants["student"]["size_bytes"] * 5 < variants["fp32"]["size_bytes"]
    assert variants["pruned"]["zipped_bytes"] < 0.6 * variants["fp32"]["zipped_bytes"]
    assert variants["int8"]["accuracy"] > variants["fp32"]["accuracy"] - 0.05
    assert all(each["reason"] for each in variants.values())


def test_most_weights_of_the_pruned_graph_are_zero(digits_run: Path) -> None:
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(digits_run / "run/model-pruned.onnx").graph.initializer
        if len(tensor.dims) > 1
    ]
    zeros = sum(int((each == 0).sum()) for each in weights) / sum(each.size for each in weights)
    assert 0.69 < zeros < 0.71


def test_what_is_kept_is_published_and_answers(digits_run: Path) -> None:
    registry = Registry(open_store((digits_run / ".onnxlet/registry").as_uri()))
    manifest = registry.resolve("digits")
    record = json.loads((digits_run / "run/run.json").read_text())
    kept = [each["name"] for each in record["variants"] if each["is_kept"]]
    assert [each.variant for each in manifest.artifacts if (each.role, each.format) == ("model", ONNX)] == kept
    assert "pruned" in kept
    assert manifest.metrics["pruned_accuracy"] > 0.5
    body = to_png(np.zeros((28, 28, 1), np.uint8))
    answers = {}
    for variant in kept:
        app = App(Settings(registry.store.url, variant=variant))
        response = app.handle(Request("POST", "/predict/digits", body, {"content-type": "image/png"}))
        answers[variant] = json.loads(response.body)["predictions"][0]["probability"]
    assert len(set(answers.values())) == len(kept)
