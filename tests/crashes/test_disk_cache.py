"""A function killed while it fills its disk cache: the next one is given whole artifacts, and nothing else."""

import hashlib
import random
import signal
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.golden import MAX_DIFFERENCE
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import CacheSettings, Settings
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.crashes.folder_watch import watching
from tests.helpers import forked, graphs

WIDTH = 700
"""Of the model's square matrix: 2 MB, which take a millisecond to write."""

LIMIT_BYTES = 64 * 1024 * 1024


def answer(settings: Settings) -> None:
    """What a function does: load its default model through the cache, and answer as was published."""
    service = Service(settings)
    model = service.find(None).model
    golden = service.traffic.models.registry.golden(model.manifest)
    assert golden is not None
    assert model.difference(golden) <= MAX_DIFFERENCE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a function whose default model is in a registry of files, and whose cache is not there yet."""
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    weights = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [("y", TensorProto.FLOAT, ["batch", WIDTH])],
        {"weights": weights},
    )
    publish(registry, graphs.candidate("wide", proto))
    cache = CacheSettings(str(tmp_path / "cache"), LIMIT_BYTES)
    return Settings(registry.store.url, model="wide", cache=cache)


def is_killed_at(settings: Settings, change: int, delay_s: float) -> bool:
    """Run a function that is killed after a change of its cache, then one that is not."""
    assert settings.cache is not None
    folder = Path(settings.cache.folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    process = forked.process(answer, settings)
    process.start()
    with watching(folder, change, process.kill, delay_s):
        process.join()
    assert process.exitcode in {0, -signal.SIGKILL}
    for path in folder.iterdir():
        assert len(path.name) != 64 or hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    after = forked.process(answer, settings)
    after.start()
    after.join()
    assert after.exitcode == 0
    return process.exitcode != 0


def test_a_function_killed_while_it_fills_its_cache_leaves_nothing_damaged(settings: Settings) -> None:
    kills = [is_killed_at(settings, change, delay_s) for change, delay_s in ((0, 0), (0, 0.001), (3, 0))]
    assert any(kills)


@pytest.mark.faults
def test_whenever_it_is_killed_its_cache_is_right(settings: Settings) -> None:
    chance = random.Random(0)
    for _ in range(5):
        for change in count():
            if not is_killed_at(settings, change, chance.choice((0, chance.uniform(0, 0.005)))):
                break
    assert change
