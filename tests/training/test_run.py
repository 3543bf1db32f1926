"""The whole training job, as the command runs it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_training.recipes import digits
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import to_png
from tests.helpers import forked

pytestmark = pytest.mark.training


@pytest.fixture
def registry_url(digits_run: Path) -> str:
    return (digits_run / ".onnxlet/registry").as_uri()


def test_the_run_folder_holds_what_is_needed_to_judge_and_repeat_it(digits_run: Path) -> None:
    record = json.loads((digits_run / "run/run.json").read_text())
    assert record["options"] == {"data": None, "epochs": None, "seed": 1, "fast": True}
    assert len(record["train"]["history"]["val_loss"]) == 3
    assert record["evaluation"]["accuracy"] > 0.8
    assert sum(map(sum, record["evaluation"]["confusion"])) == 90
    assert (digits_run / "run/examples/0.png").read_bytes().startswith(b"\x89PNG")
    assert "Confusion" in (digits_run / "run/report.html").read_text()


def test_the_manifest_says_how_good_it_is_and_where_it_came_from(digits_run: Path, registry_url: str) -> None:
    record = json.loads((digits_run / "run/run.json").read_text())
    manifest = Registry(open_store(registry_url)).resolve("digits")
    assert manifest.metrics["accuracy"] == record["evaluation"]["accuracy"]
    assert manifest.metrics["export_max_difference"] < 1e-5
    assert manifest.provenance.source == "recipe:digits"
    assert manifest.provenance.seed == 1
    assert manifest.provenance.data_sha256 == record["data_sha256"]
    assert {"keras", "onnx", "onnxruntime", "python"} <= set(manifest.provenance.frameworks)


def test_the_graph_has_named_tensors_and_a_free_batch_axis(digits_run: Path) -> None:
    graph = onnx.load(digits_run / "run/model.onnx").graph
    onnx.checker.check_model(digits_run / "run/model.onnx", full_check=True)
    assert [value.name for value in (*graph.input, *graph.output)] == ["input", "output"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_functions_know_most_digits(registry_url: str) -> None:
    app = App(Settings(registry_url))
    examples = digits.load(Source(None, Path()))
    images, labels = examples.inputs, examples.targets
    chosen = np.random.default_rng(0).choice(len(labels), 100, replace=False)
    right = 0
    for index in chosen:
        request = Request("POST", "/predict/digits", to_png(images[index]), {"content-type": "image/png"})
        response = app.handle(request)
        assert response.status == 200
        right += json.loads(response.body)["predictions"][0]["label"] == str(labels[index])
    assert right > 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cats-dogs", "--data", "nowhere"], "--data nowhere: no such file or folder"),
        (["cats-dogs"], "--data: expected a folder with a folder of photos"),
        (["digits", "--gpu", "any"], "--gpu: Keras on tensorflow finds no GPU"),
        (["nope"], "recipe 'nope': expected one of digits, mnist"),
        (["digits", "--out", "/dev/full/run"], "/dev/full"),
    ],
)
def test_a_run_that_cannot_begin_is_refused_in_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    refused(tmp_path, arguments, words)


def refused(folder: Path, arguments: list[str], words: str) -> None:
    done = forked.run(["train", "--fast", *arguments], folder, timeout=120)
    assert done.returncode == 1, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("onnxlet: "), line
    assert "Traceback" not in done.stderr
    assert words in line
    assert not list(folder.rglob("versions/*.json"))
