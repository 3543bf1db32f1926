"""Damaged artifacts: none is served, and what ONNX Runtime makes of one that got through is no crash."""

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract import layout
from onnxlet.contract.blob import MIN_RANGE_BYTES
from onnxlet.contract.manifest import Manifest
from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import CacheSettings, Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.optimize import GraphForm, optimize
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.test_clouds import png

ARTIFACTS = 200
SHORT, LONG = 60, 1000
ROWS, COLUMNS = 784, 500
REFUSED = [(500, "invalid_artifact"), (503, "store_unavailable")]
"""The latter where a store has nothing at a range that it is asked for."""


def wide() -> onnx.ModelProto:
    """A model whose weights come in two ranges."""
    weights = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    assert weights.nbytes > MIN_RANGE_BYTES
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    inputs: list[graphs.Value] = [("x", TensorProto.FLOAT, ["batch", ROWS])]
    return graphs.model(nodes, inputs, [("y", TensorProto.FLOAT, ["batch", COLUMNS])], {"weights": weights})


@dataclass(frozen=True)
class Published:
    """A registry of several models, and what each of them answers."""

    folder: Path
    manifests: tuple[Manifest, ...]
    right: dict[str, object]

    def blob(self, sha256: str) -> Path:
        return self.folder / layout.blob_key(sha256)


def question(model: str) -> Request:
    if model == "digits":
        return Request("POST", "/predict/digits", png(), {"content-type": "image/png"})
    return Request("POST", f"/v1/models/{model}:predict", json.dumps({"instances": [[0.5] * ROWS]}).encode())


def ask(settings: Settings, model: str) -> tuple[int, object]:
    """What a fresh process would answer, and its status."""
    response = App(settings, write_line=lambda _line: None).handle(question(model))
    document = json.loads(response.body)
    return response.status, document.get("predictions", document.get("code"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("artifacts")
    registry = Registry(open_store(folder.as_uri()))
    candidates = (graphs.digits_candidate(1), graphs.digits_candidate(2), graphs.candidate("wide", wide()))
    manifests = tuple(publish(registry, candidate) for candidate in candidates)
    right = {name: ask(Settings(folder.as_uri()), name)[1] for name in ("digits", "wide")}
    return Published(folder, manifests, right)


def damaged(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The bytes cut, changed, longer, or those of another artifact."""
    position = chance.randrange(len(data))
    found = chance.choice(
        [
            data[:position],
            data[:position] + bytes([data[position] ^ 1 << chance.randrange(8)]) + data[position + 1 :],
            data[:position] + bytes(len(data) - position),
            data + b"\0",
            chance.choice(others),
        ]
    )
    return found if found != data else b""


def test_what_is_damaged_is_published_in_every_form(published: Published) -> None:
    artifacts = [artifact for manifest in published.manifests for artifact in manifest.artifacts]
    assert {artifact.format for artifact in artifacts} >= {"onnx", "ort"}
    assert {artifact.role for artifact in artifacts} >= {"model", "preprocess", "postprocess"}
    assert any(artifact.part_digests for artifact in artifacts)


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG // 2, marks=pytest.mark.soak)])
def test_no_damaged_artifact_is_served(published: Published, count: int, is_cached: bool, tmp_path: Path) -> None:
    """An undamaged form of the same graph may answer in its place, and then answers right."""
    chance = random.Random(f"{count} {is_cached}")
    cache = CacheSettings(str(tmp_path / "cache"), 2**30) if is_cached else None
    settings = Settings(published.folder.as_uri(), cache=cache)
    found: Counter[object] = Counter()
    for _ in range(count):
        manifest = chance.choice(published.manifests[1:])  # what is live
        artifact = chance.choice([each for each in manifest.artifacts if each.role != "golden"])
        assert ask(settings, manifest.model) == (200, published.right[manifest.model])
        names = {each.sha256 for each in manifest.artifacts if each.role == artifact.role}
        paths = [published.blob(name) for name in (names if chance.random() < 0.7 else {artifact.sha256})]
        if is_cached:
            paths += [path for path in map((tmp_path / "cache").joinpath, names) if path.exists()]
        before = {path: path.read_bytes() for path in paths}
        others = [path.read_bytes() for path in published.blob(artifact.sha256).parent.iterdir() if path not in before]
        for path, data in before.items():
            path.write_bytes(damaged(data, others, chance))
        status, answer = ask(settings, manifest.model)
        found[status] += 1
        assert (status, answer) in [(200, published.right[manifest.model]), *REFUSED]
        for path, data in before.items():
            path.write_bytes(data)
    assert found[200] < count * 3 / 4


LOADER = """
import random, sys
from pathlib import Path
from onnxlet import session
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, InferenceError
from tests.helpers.graphs import SIDE_PIXELS as SIDE
from tests.hostile.mutation import mutate

data, is_ort = Path(sys.argv[1]).read_bytes(), sys.argv[2] == "ort"
chance = random.Random(sys.argv[2])
tensor = Tensor(DATATYPES["FP32"], (1, SIDE, SIDE, 1), memoryview(bytes(4 * SIDE * SIDE)))
for number in range(int(sys.argv[3])):
    try:
        session.open_session(mutate(data, chance), is_ort=is_ort).run({"input": tensor}, ["output"])
    except (ArtifactError, InferenceError):
        print("error")
    else:
        print("answer")
"""


@pytest.mark.parametrize("form", ["onnx", "ort"])
def test_a_damaged_artifact_that_the_registry_would_let_through_is_an_error(form: str, tmp_path: Path) -> None:
    """The SHA-256 of a manifest keeps damaged bytes from ONNX Runtime; this is what it does with them all the same."""
    graph = GraphForm("model", "fp32", graphs.classifier().SerializeToString())
    path = tmp_path / "graph"
    path.write_bytes(graph.data if form == "onnx" else optimize(graph, None)[0].data)
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(path), form, str(ARTIFACTS // 2)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("\n") == ARTIFACTS // 2
    assert done.stdout.count("error") > ARTIFACTS // 10
