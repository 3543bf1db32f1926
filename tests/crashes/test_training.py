"""A training killed at random moments of its whole way, from its data to its publication, ends in one whole version."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.crashes.laws import check_whole

pytestmark = [pytest.mark.faults, pytest.mark.training]

KILLS = 5
TIMEOUT_S = 600


def train(folder: Path, registry: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "onnxlet_cli.main", "train", "digits", "--fast", "--epochs", "3", "--compress"]
    options = ["--out", str(folder), "--registry", str(folder.with_name(registry))]
    return subprocess.Popen([*command, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def test_a_training_killed_at_random_moments_ends_in_one_whole_version(tmp_path: Path) -> None:
    started_s = time.monotonic()
    _, text = train(tmp_path / "undisturbed", "registry-undisturbed").communicate(timeout=TIMEOUT_S)
    duration_s = time.monotonic() - started_s
    chance = random.Random(0)
    kills = 0
    for _ in range(KILLS):
        process = train(tmp_path / "killed", "registry-killed")
        try:
            _, text = process.communicate(timeout=chance.uniform(0, duration_s))
            assert process.returncode == 0, text
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            if (tmp_path / "registry-killed").exists():
                check_whole(open_registry(tmp_path / "registry-killed"))
    process = train(tmp_path / "killed", "registry-killed")
    _, text = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, text
    assert kills
    registries = [open_registry(tmp_path / name) for name in ("registry-undisturbed", "registry-killed")]
    for registry in registries:
        check_whole(registry)
        assert registry.catalogue() == {"digits": [1]}
        assert len(registry.alias("digits").history) == 1
    variants = [{artifact.variant for artifact in each.resolve("digits").artifacts} for each in registries]
    assert variants[0] == variants[1]


def open_registry(folder: Path) -> Registry:
    return Registry(open_store(folder.as_uri()))
