"""Every recipe, from its data to a version that the functions answer for."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from onnxlet.http import Request
from onnxlet.models.loading import load
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_cli.main import app as command
from onnxlet_training import data
from onnxlet_training.recipe import Images, Labels, Options
from onnxlet_training.recipes import RECIPES, digits
from onnxlet_training.source import Source
from onnxlet_training.tasks.classification import to_png
from tests.conftest import BUCKET
from tests.helpers import training_sets as sets
from tests.helpers.deletion import deletion
from tests.helpers.training_runs import train_to_the_end

pytestmark = pytest.mark.training

NEEDS_TORCH = ("cnn", "char-rnn", "vae", "gan")


@dataclass
class Trained:
    """The files that `onnxlet train NAME --fast` leaves."""

    name: str
    folder: Path
    registry: Registry
    record: dict[str, Any] = field(default_factory=dict)

    def ask(self, path: str, body: Any, media_type: str = "application/json") -> Any:
        app = App(Settings(self.registry.store.url))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = app.handle(Request("POST", path, data, {"content-type": media_type}))
        assert response.status == 200, response.body
        return json.loads(response.body)


def brought(name: str, folder: Path) -> list[str]:
    """Return the options for the data that a recipe needs."""
    if name.startswith("mnist"):
        return ["--data", str(sets.write_npz(folder / "mnist.npz", (28, 28)))]
    if name == "cifar10":
        return ["--data", str(sets.write_cifar_archive(folder / "cifar-10-binary.tar.gz"))]
    if name == "cats-dogs":
        return ["--data", str(sets.write_photos(folder / "photos", count=20))]
    return []


@pytest.fixture(scope="module")
def train(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """What trains a recipe when it is called for the first time."""

    @cache
    def train(name: str) -> Trained:
        if name == "digits":
            root: Path = request.getfixturevalue("digits_run")
        else:
            root = tmp_path_factory.mktemp(name)
            train_to_the_end(root, name, *brought(name, root))
        registry = Registry(open_store((root / ".onnxlet/registry").as_uri()))
        return Trained(name, root / "run", registry, json.loads((root / "run/run.json").read_text()))

    return train


@pytest.fixture(scope="module", params=sorted(RECIPES))
def trained(request: pytest.FixtureRequest, train: Callable[[str], Trained]) -> Trained:
    name: str = request.param
    if name in NEEDS_TORCH:
        pytest.importorskip("torch", reason="needs `make torch`")
    return train(name)


def test_the_graph_is_the_network(trained: Trained) -> None:
    limit = 1e-5 if trained.name in {"digits", "mnist", "mnist-dense", "cifar10", "cats-dogs", "cnn"} else 1e-4
    manifest = trained.registry.resolve(trained.name)
    assert manifest.metrics["export_max_difference"] <= limit
    for each in trained.record["export"]:
        assert each["max_difference"] <= limit
        assert not {"Loop", "Scan", "If"} & set(each["operators"])
    if trained.name.startswith("sequence"):
        assert trained.record["export"][0]["operators"][trained.name.partition("-")[2].upper()] == 3


def test_the_graph_is_one_checked_file_with_a_free_batch(trained: Trained) -> None:
    for path in trained.folder.glob("model*.onnx"):
        onnx.checker.check_model(path, full_check=True)
        graph = onnx.load(path, load_external_data=False).graph
        assert not any(tensor.external_data for tensor in graph.initializer)
        assert {value.type.tensor_type.shape.dim[0].dim_param for value in graph.input} == {"batch"}


def test_the_published_versions_answer_their_golden_examples(trained: Trained) -> None:
    for name in trained.registry.models():
        manifest = trained.registry.resolve(name)
        golden = trained.registry.golden(manifest)
        assert golden is not None
        assert next(iter(golden.inputs.values())).shape[0] == 2
        assert load(trained.registry, manifest, threads=1).difference(golden) < 1e-3


def test_the_run_can_be_judged_and_repeated(trained: Trained) -> None:
    record = trained.record
    assert record["command"][:3] == ["onnxlet", "train", trained.name]
    assert len(record["train"]["history"]["val_loss"]) == 3
    assert re.fullmatch(r"[0-9a-f]{64}", record["data_sha256"])
    assert list(trained.folder.glob("tensorboard/**/events*"))
    assert "loss over the epochs" in (trained.folder / "report.html").read_text()


def test_the_functions_answer(trained: Trained) -> None:
    asked = {
        "char-rnn": ask_text,
        "gan": ask_images,
        "vae": ask_score,
        "sequence-lstm": ask_series,
        "sequence-gru": ask_series,
    }
    asked.get(trained.name, ask_image)(trained)


def test_an_explanation_names_the_pixels_that_matter(trained: Trained, tmp_path: Path) -> None:
    """On 200 digits that the network has never seen."""
    if trained.name != "digits":
        pytest.skip("of digits alone it is known which images it has not seen")
    app = App(Settings(trained.registry.store.url), write_line=lambda _line: None)
    found = deletion(app, "digits", *unseen_digits(tmp_path))
    assert found.ranked >= 2 * found.random
    assert found.ranked > 0.3


def test_rotated_digits_drift_and_upright_ones_do_not(trained: Trained, tmp_path: Path) -> None:
    if trained.name != "digits":
        pytest.skip("of digits alone it is known which images it has not seen")
    images = unseen_digits(tmp_path)[0]
    for rotated, code in ((images, 0), (np.rot90(images, axes=(1, 2)), 1)):
        results = (tmp_path / f"results-{code}").as_uri()
        app = App(Settings(trained.registry.store.url, results=results, capture=1.0), write_line=lambda _line: None)
        for image in rotated:
            png = to_png(np.ascontiguousarray(image))
            app.handle(Request("POST", "/predict/digits", png, {"content-type": "image/png"}))
        options = ["--registry", trained.registry.store.url, "--results", results]
        done = CliRunner().invoke(command, ["drift", "digits", *options])
        assert done.exit_code == code, done.output


def unseen_digits(folder: Path) -> tuple[Images, Labels]:
    """200 digits, none of which is among those of a fast run, and what they are."""
    examples = digits.load(Source(None, folder))
    splits = data.load(digits.RECIPE, Options(seed=1, is_fast=True), folder)
    seen = {image.tobytes() for split in (splits.train, splits.validation) for image in split.inputs}
    unseen = [index for index, image in enumerate(examples.inputs) if image.tobytes() not in seen][:200]
    return examples.inputs[unseen], examples.targets[unseen]


def ask_image(trained: Trained) -> None:
    manifest = trained.registry.resolve(trained.name)
    assert manifest.preprocess is not None
    assert manifest.classification is not None
    pixels = np.zeros((manifest.preprocess.height, manifest.preprocess.width, manifest.preprocess.channels), np.uint8)
    (prediction,) = trained.ask(f"/predict/{trained.name}", to_png(pixels), "image/png")["predictions"]
    assert prediction["label"] in manifest.classification.labels
    assert sum(entry["probability"] for entry in prediction["top"]) <= 1 + 1e-5


def ask_series(trained: Trained) -> None:
    series = np.sin(np.arange(32))[:, None].tolist()
    answer = trained.ask(f"/v1/models/{trained.name}:predict", {"instances": [series, series]})
    assert len(answer["predictions"]) == 2
    assert sum(answer["predictions"][0]) == pytest.approx(1, abs=1e-4)
    labelled = trained.ask(f"/predict/{trained.name}", [series])
    assert labelled["predictions"][0]["label"] in {"noise", "sine", "square", "sawtooth"}


def ask_text(trained: Trained) -> None:
    request = {"text_input": "Shall I", "length": 80, "temperature": 0.8, "top_k": 5, "seed": 7}
    first, second = (trained.ask("/v2/models/char-rnn/generate", request) for _ in range(2))
    assert first == second
    assert len(first["text_output"]) == 80


def ask_images(trained: Trained) -> None:
    answers = [trained.ask("/v2/models/gan/generate", {"seed": seed}) for seed in (1, 1, 2)]
    assert answers[0] == answers[1]
    assert answers[0]["images"] != answers[2]["images"]
    assert base64.b64decode(answers[0]["images"][0]["b64"]).startswith(b"\x89PNG")
    assert (trained.folder / "samples.png").exists()


def ask_score(trained: Trained) -> None:
    from onnxlet_training.tasks.classification import to_png

    blank, noise = np.zeros((28, 28, 1), np.uint8), np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    scores = [
        trained.ask("/predict/vae", to_png(image), "image/png")["predictions"][0]["score"] for image in (blank, noise)
    ]
    assert scores[0] < scores[1], "noise is stranger than an empty page"
    assert trained.ask("/v2/models/vae-sampler/generate", {"seed": 1})["images"]
    assert trained.record["evaluation"]["anomaly_auc"] >= 0.9


def test_cats_dogs_answers_for_an_object_in_storage(
    train: Callable[[str], Trained], tmp_path: Path, storage: StorageSettings
) -> None:
    trained = train("cats-dogs")
    photo = trained.folder.parent / "photos/discs/0.png"
    key = f"photos/{tmp_path.name}.png"
    open_store(f"s3://{BUCKET}", storage).put_if_absent(key, photo.read_bytes())
    app = App(Settings(trained.registry.store.url, inputs=(f"s3://{BUCKET}/photos",), storage=storage))
    body = json.dumps({"image_path": f"s3://{BUCKET}/{key}"}).encode()
    response = app.handle(Request("POST", "/predict/cats-dogs", body, {"content-type": "application/json"}))
    (prediction,) = json.loads(response.body)["predictions"]
    assert prediction["label"] in {"discs", "stripes"}
